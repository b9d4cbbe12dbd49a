/** The page: plain files, with the chart library's beside them. They have no version in their names, so a browser asks each time whether they changed. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply } from 'fastify';

const PAGE = fileURLToPath(new URL('page/', import.meta.url));
const CHARTS = path.dirname(fileURLToPath(import.meta.resolve('uplot/dist/uPlot.min.css')));

const SERVED = /\.(html|js|css|svg|png|ico|woff2)$/;
const VENDOR_SERVED = /^\/uPlot\.(min\.css|esm\.js|iife\.min\.js)$/;

export const addAssets = async (app: FastifyInstance): Promise<void> => {
  const common = { index: false, list: false, dotfiles: 'deny', cacheControl: false } as const;
  const setHeaders = (reply: FastifyReply): void => void reply.header('cache-control', 'no-cache');
  await app.register(fastifyStatic, {
    ...common,
    root: PAGE,
    prefix: '/page/',
    allowedPath: (file) => SERVED.test(file),
    setHeaders,
  });
  await app.register(fastifyStatic, {
    ...common,
    root: CHARTS,
    prefix: '/page/vendor/uplot/',
    decorateReply: false,
    allowedPath: (file) => VENDOR_SERVED.test(file),
    setHeaders,
  });
  app.get('/', async (_request, reply) => await reply.sendFile('index.html'));
};
