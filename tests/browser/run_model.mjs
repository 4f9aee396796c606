#!/usr/bin/env node
// Runs a model in onnxruntime-web (WebAssembly) in headless Chromium over an array of samples. The command line and the line of JSON are those
// of tests/node/run_model.mjs; peak_memory_bytes is the size of the WebAssembly heap, which holds the model and its activations and never
// shrinks, and library_milliseconds the time that onnxruntime-web took to get ready before the model, which create_milliseconds leaves out.
//
//   node run_model.mjs MODEL.onnx INPUT.npy OUTPUT.npy [--batch N] [--threads N]
import { stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { serve } from '../../examples/browser/serve.mjs';
import { runnerArguments } from '../node/arguments.mjs';
import { formatNpy, readNpy } from '../node/npy.mjs';
import { folder } from '../node/packages.mjs';
import { launch, missing } from './chromium.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { model, input, output, batch, threads } = runnerArguments();
if (missing() !== null) {
  console.error(`SKIPPED: ${missing()}`);
  process.exit(77);
}
let server, browser;
try {
  const { shape, data } = await readNpy(input);
  const offset = (await stat(input)).size - data.byteLength; // where the page finds the values behind the header
  let values = null;
  server = await serve({
    '/model.onnx': model,
    '/input.npy': input,
    '/batches.mjs': join(here, '..', 'node', 'batches.mjs'),
    '/ort/': join(folder, 'node_modules', 'onnxruntime-web', 'dist'),
    '/': here,
  }, 0, (path, body) => { values = body; });
  browser = await launch();
  const page = await browser.newPage();
  page.setDefaultTimeout(120000); // a busy machine is slow, not broken
  await page.goto(`${server.url}/runner.html`);
  await page.waitForFunction(() => window.ready);
  const result = await page.evaluate((options) => window.runModel(options), { shape, offset, batch, threads });
  if (threads > 1 && !result.isolated) throw new Error('the page is not isolated, so that there is one thread only');
  const floats = new Float32Array(values.length / 4);
  Buffer.from(floats.buffer).set(values);
  await writeFile(output, formatNpy(result.shape, floats));
  console.log(JSON.stringify({
    runtime: 'onnxruntime-web',
    version: result.version,
    milliseconds_per_sample: result.millisecondsPerSample,
    least_milliseconds_per_sample: result.leastMillisecondsPerSample,
    peak_memory_bytes: result.heapBytes,
    memory: 'WebAssembly heap',
    create_milliseconds: result.createMilliseconds,
    library_milliseconds: result.libraryMilliseconds,
    browser: `Chromium ${browser.version()}`,
  }));
} catch (error) {
  const [reason] = error.message.split('\n'); // behind it is the page's stack
  console.error(`run_model: ${model}: ${reason.replace(/^page\.evaluate: (Error: )?/, '')}`);
  process.exitCode = 1;
} finally {
  await browser?.close();
  await server?.close();
}
