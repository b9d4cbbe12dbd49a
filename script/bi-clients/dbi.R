# One stack of verify-bi: R's DBI with Debian's RPostgreSQL. Speaks the lines that protocol.ts describes.
suppressMessages(library(RPostgreSQL))

input <- file("stdin", "r")
parts <- function(line) vapply(strsplit(paste0(line, "\t"), "\t", fixed = TRUE)[[1]], URLdecode, "", USE.NAMES = FALSE)

quoted <- function(texts) {
  texts <- enc2utf8(as.character(texts))
  escaped <- gsub("\\", "\\\\", texts, fixed = TRUE)
  escaped <- gsub("\"", "\\\"", escaped, fixed = TRUE)
  escaped <- gsub("\n", "\\n", escaped, fixed = TRUE)
  escaped <- gsub("\r", "\\r", escaped, fixed = TRUE)
  escaped <- gsub("\t", "\\t", escaped, fixed = TRUE)
  ifelse(is.na(texts), "null", paste0("\"", escaped, "\""))
}
list_of <- function(texts) paste0("[", paste(texts, collapse = ","), "]")

# 15 digits: what a double holds. Times to the microsecond.
cells <- function(column) {
  if (inherits(column, "POSIXct")) {
    micros <- round(as.numeric(column) * 1e6)
    seconds <- as.POSIXct(floor(micros / 1e6), origin = "1970-01-01", tz = "UTC")
    texts <- sprintf("%s.%06dZ", format(seconds, "%Y-%m-%dT%H:%M:%S"), as.integer(micros %% 1e6))
  } else if (inherits(column, "Date")) {
    texts <- format(column, "%Y-%m-%d")
  } else if (is.logical(column)) {
    texts <- ifelse(column, "true", "false")
  } else if (is.numeric(column)) {
    texts <- vapply(column, function(number) format(number, digits = 15, scientific = FALSE, trim = TRUE), "")
  } else {
    texts <- as.character(column)
  }
  texts[is.na(column)] <- NA
  texts
}

rows_of <- function(frame) {
  if (nrow(frame) == 0) return("[]")
  columns <- lapply(frame, function(column) quoted(cells(column)))
  list_of(paste0("[", do.call(paste, c(unname(columns), sep = ",")), "]"))
}

# dbGetQuery() prints an error and goes on; dbSendQuery() raises it. What the driver has no type for it reads as text, and warns each time.
sent <- function(connection, sql) suppressWarnings(dbSendQuery(connection, sql))
read <- function(connection, sql) {
  result <- sent(connection, sql)
  on.exit(dbClearResult(result))
  frame <- suppressWarnings(fetch(result, n = -1))
  # Without a row there are no columns in the frame.
  if (length(frame) > 0) return(frame)
  names <- dbColumnInfo(result)$name
  as.data.frame(setNames(rep(list(character(0)), length(names)), names), check.names = FALSE)
}

# dbListTables(), dbExistsTable() and dbListFields() of this driver know tables only: views are asked of the catalogue, as docs/bi.md says.
RELATIONS <- "
select c.relname, case c.relkind when 'v' then 'VIEW' else 'TABLE' end, obj_description(c.oid, 'pg_class')
from pg_class c where c.relnamespace = '%s'::regnamespace and c.relkind in ('r', 'v', 'm', 'p')"

COLUMNS <- "
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = '%s'::regnamespace and c.relkind in ('r', 'v', 'm', 'p')"

tables <- function(connection, schema) paste0("\"rows\":", rows_of(read(connection, sprintf(RELATIONS, schema))))
columns <- function(connection, schema) paste0("\"rows\":", rows_of(read(connection, sprintf(COLUMNS, schema))))

query <- function(connection, sql) {
  frame <- read(connection, sql)
  kinds <- vapply(frame, function(column) list_of(if (all(is.na(column))) c() else quoted(class(column)[1])), "")
  paste0("\"columns\":", list_of(quoted(names(frame))), ",\"kinds\":", list_of(kinds), ",\"rows\":", rows_of(frame))
}

portions <- function(connection, sql) {
  result <- sent(connection, sql)
  on.exit(dbClearResult(result))
  count <- 0
  while (length(frame <- suppressWarnings(fetch(result, n = 50))) > 0 && nrow(frame) > 0) count <- count + nrow(frame)
  paste0("\"count\":", count)
}

write <- function(connection, sql) {
  result <- sent(connection, sql)
  count <- dbGetRowsAffected(result)
  dbClearResult(result)
  paste0("\"count\":", count)
}

where <- parts(readLines(input, 1))
connection <- dbConnect(PostgreSQL(), host = where[1], port = as.integer(where[2]), dbname = where[3], user = where[4], password = where[5])
verbs <- list(tables = tables, columns = columns, query = query, portions = portions, write = write)
while (length(line <- readLines(input, 1)) > 0) {
  asked <- parts(line)
  answer <- tryCatch(
    verbs[[asked[1]]](connection, asked[3]),
    # The driver tells no SQLSTATE; the message has the server's words.
    error = function(error) paste0("\"error\":", quoted(conditionMessage(error)), ",\"sqlstate\":null")
  )
  cat("{\"verb\":", quoted(asked[1]), ",\"name\":", quoted(asked[2]), ",", answer, "}\n", sep = "")
}
invisible(dbDisconnect(connection))
