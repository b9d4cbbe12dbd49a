// One stack of verify-bi: the PostgreSQL JDBC driver, as Metabase, DBeaver and Tableau use it. Speaks the lines that protocol.ts describes.
// Run as a single source file: java -cp postgresql.jar Jdbc.java

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.math.BigDecimal;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.TreeSet;

public class Jdbc {
  private static final DateTimeFormatter MOMENT = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'");

  private static String quoted(String text) {
    if (text == null) return "null";
    StringBuilder json = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') json.append('\\').append(c);
      else if (c < 0x20 || c > 0x7e) json.append(String.format("\\u%04x", (int) c));
      else json.append(c);
    }
    return json.append('"').toString();
  }

  private static String list(Iterable<String> texts) {
    StringBuilder json = new StringBuilder("[");
    for (String text : texts) json.append(json.length() > 1 ? "," : "").append(quoted(text));
    return json.append(']').toString();
  }

  private static String rows(List<List<String>> rows) {
    StringBuilder json = new StringBuilder("[");
    for (List<String> row : rows) json.append(json.length() > 1 ? "," : "").append(list(row));
    return json.append(']').toString();
  }

  private static String cell(Object value) throws SQLException {
    if (value == null) return null;
    if (value instanceof Timestamp moment) return MOMENT.format(moment.toInstant().atOffset(ZoneOffset.UTC));
    if (value instanceof BigDecimal number) return number.toPlainString();
    if (value instanceof Array array) return list(Arrays.stream((Object[]) array.getArray()).map(String::valueOf).toList());
    return value.toString();
  }

  private static String kind(Object value) {
    return value instanceof Array ? "java.sql.Array" : value.getClass().getName();
  }

  private static String read(ResultSet found, String... names) throws SQLException {
    List<List<String>> read = new ArrayList<>();
    while (found.next()) {
      List<String> row = new ArrayList<>();
      for (String name : names) row.add(found.getString(name));
      read.add(row);
    }
    return "\"rows\":" + rows(read);
  }

  private static String query(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement(); ResultSet found = statement.executeQuery(sql)) {
      ResultSetMetaData described = found.getMetaData();
      List<String> names = new ArrayList<>();
      List<TreeSet<String>> kinds = new ArrayList<>();
      for (int at = 1; at <= described.getColumnCount(); at += 1) {
        names.add(described.getColumnLabel(at));
        kinds.add(new TreeSet<>());
      }
      List<List<String>> read = new ArrayList<>();
      while (found.next()) {
        List<String> row = new ArrayList<>();
        for (int at = 1; at <= names.size(); at += 1) {
          Object value = found.getObject(at);
          if (value != null) kinds.get(at - 1).add(kind(value));
          row.add(cell(value));
        }
        read.add(row);
      }
      return "\"columns\":" + list(names) + ",\"kinds\":[" + String.join(",", kinds.stream().map(Jdbc::list).toList()) + "],\"rows\":" + rows(read);
    }
  }

  /** The driver reads in portions only within a transaction; otherwise all rows at once, whatever the fetch size. */
  private static String portions(Connection connection, String sql) throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      statement.setFetchSize(50);
      int count = 0;
      try (ResultSet found = statement.executeQuery(sql)) {
        while (found.next()) count += 1;
      }
      return "\"count\":" + count;
    } finally {
      connection.rollback();
      connection.setAutoCommit(true);
    }
  }

  private static String answer(Connection connection, String verb, String text) throws SQLException {
    switch (verb) {
      case "tables":
        return read(connection.getMetaData().getTables(null, text, "%", new String[] {"VIEW", "TABLE"}), "TABLE_NAME", "TABLE_TYPE", "REMARKS");
      case "columns":
        return read(connection.getMetaData().getColumns(null, text, "%", "%"), "TABLE_NAME", "COLUMN_NAME", "TYPE_NAME", "REMARKS");
      case "query":
        return query(connection, text);
      case "portions":
        return portions(connection, text);
      case "write":
        try (Statement statement = connection.createStatement()) {
          return "\"count\":" + statement.executeUpdate(text);
        }
      default:
        throw new IllegalArgumentException(verb);
    }
  }

  private static String[] parts(String line) {
    String[] parts = line.split("\t", -1);
    for (int at = 0; at < parts.length; at += 1) parts[at] = URLDecoder.decode(parts[at], StandardCharsets.UTF_8);
    return parts;
  }

  public static void main(String[] none) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    String[] where = parts(in.readLine());
    Properties login = new Properties();
    login.setProperty("user", where[3]);
    login.setProperty("password", where[4]);
    try (Connection connection = DriverManager.getConnection("jdbc:postgresql://" + where[0] + ":" + where[1] + "/" + where[2], login)) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String[] asked = parts(line);
        String answer;
        try {
          answer = answer(connection, asked[0], asked[2]);
        } catch (SQLException error) {
          answer = "\"error\":" + quoted(error.getMessage()) + ",\"sqlstate\":" + quoted(error.getSQLState());
        }
        System.out.println("{\"verb\":" + quoted(asked[0]) + ",\"name\":" + quoted(asked[1]) + "," + answer + "}");
      }
    }
  }
}
