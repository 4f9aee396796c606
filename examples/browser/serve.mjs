#!/usr/bin/env node
// A static file server, for trying the page out: node serve.mjs [FOLDER] [PORT]. Any other one does as well.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPES = { '.html': 'text/html; charset=utf-8', '.mjs': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm' };

/** Serves files on 127.0.0.1 and resolves to { url, close() }. `routes` maps the beginning of a path to a folder or a file, the first that fits
 *  is taken: { '/ort/': 'node_modules/onnxruntime-web/dist', '/': 'build/browser' }. port 0 takes any that is free. With `receive`, bodies that
 *  are PUT go to receive(path, Buffer). */
export async function serve(routes, port = 0, receive = null) {
  const targets = Object.entries(routes).map(([prefix, target]) => [prefix, resolve(target)]);
  const find = (path) => {
    for (const [prefix, target] of targets) {
      if (path === prefix && !prefix.endsWith('/')) return target;
      if (!prefix.endsWith('/') || !path.startsWith(prefix)) continue;
      const file = normalize(join(target, path.slice(prefix.length) || 'index.html'));
      return file.startsWith(target + sep) ? file : null; // nothing outside of the folder
    }
    return null;
  };
  const server = createServer(async (request, response) => {
    try {
      const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
      if (request.method === 'PUT' && receive !== null) {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        receive(path, Buffer.concat(chunks));
        response.writeHead(204).end();
        return;
      }
      const file = find(path);
      const found = file === null ? null : await stat(file).catch(() => null);
      if (!found?.isFile()) {
        response.writeHead(404, { 'Content-Type': 'text/plain' }).end(`${path} is not here\n`);
        return;
      }
      response.writeHead(200, {
        'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
        'Content-Length': found.size,
        'Cache-Control': 'no-cache',
        // Pages that isolate themselves like this may share memory between threads, which onnxruntime-web needs for more than one.
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Embedder-Policy': 'require-corp',
      });
      createReadStream(file).on('error', () => response.destroy()).pipe(response);
    } catch (error) {
      response.writeHead(400, { 'Content-Type': 'text/plain' }).end(`${error.message}\n`);
    }
  });
  await new Promise((done, failed) => server.once('error', failed).listen(port, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((done) => {
      server.close(done);
      server.closeAllConnections?.();
    }),
  };
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [folder = fileURLToPath(new URL('../../build/browser', import.meta.url)), port = '8000'] = process.argv.slice(2);
  try {
    if (!(await stat(folder).catch(() => null))?.isDirectory()) throw new Error(`${folder} is not there; build.sh makes it`);
    const { url } = await serve({ '/': folder }, Number(port));
    console.log(`${url}/ (Ctrl-C ends it)`);
  } catch (error) {
    console.error(`serve: ${error.message}`);
    process.exit(1);
  }
}
