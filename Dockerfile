# The daemon's image: production packages and the compiled program on Node 24, nothing else. Builds with the builder that is in the engine.
#
#   docker build -t relate-mirror --build-arg REVISION=$(git rev-parse HEAD) .

# --- The compiled program. TypeScript 7 is a native binary in an optional package, so this stage installs everything; nothing of it stays.
FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY script/build.ts script/
COPY src src
RUN npm run build && find dist \( -name '*.d.ts' -o -name '*.map' \) -delete

# --- The packages that run: no development packages, no embedded PostgreSQL, no second Node (both are optional packages).
FROM node:24-bookworm-slim AS packages
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="relate-mirror" \
      org.opencontainers.image.description="Two-way sync between a RelateCRM account's contacts and Postgres" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/node:24-bookworm-slim"
# What only installs packages has no business where a token is.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn \
      /usr/local/bin/yarnpkg /opt/yarn*
WORKDIR /app
COPY package.json LICENSE NOTICE ./
COPY --from=packages /build/node_modules node_modules
COPY drizzle drizzle
COPY --from=build /build/dist dist
COPY deploy/container container

# Without the last two V8 and malloc leave lying about more than is alive: with them a CRM that answers to hurt stays below 256 MiB.
ENV NODE_ENV=production HTTP_HOST=0.0.0.0 LOG_FORMAT=json \
    NODE_OPTIONS="--max-old-space-size=160 --max-semi-space-size=8" MALLOC_ARENA_MAX=2
# By number, so that an orchestrator can see that it is not root. Nothing in the image belongs to it: the program writes no file.
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/container/healthcheck.mjs"]
# In the exec form the program is process 1 itself and gets the engine's SIGTERM; it handles it, and starts no processes that would have to be
# waited for. `docker run --init` adds one thing: a signal in the first half second, before the handlers stand, ends it at once.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/cli.js"]
CMD ["start"]
