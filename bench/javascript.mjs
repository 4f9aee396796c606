#!/usr/bin/env node
// What converted models cost in onnxruntime-node and onnxruntime-web: the tables of docs/javascript.md, as Markdown.
//
//   node bench/javascript.mjs [MARY]
//
// fashion-lenet5 over 1,000 test images, and ../shared's ResNet-32, where it is there, over 200 random inputs (calibrated on random ones: what is
// measured is time, not accuracy), one at a time, one thread. Every model is run twice, in turns with the others; the smallest figures count, of the samples, too.
// Needs what scripts/setup.sh --tests --ci installs.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

import { readNpy, writeNpy } from '../tests/node/npy.mjs';
import { folder as packages, root } from '../tests/node/packages.mjs';

const mary = process.argv[2] ?? join(root, 'build', 'mary');
const folder = mkdtempSync(join(tmpdir(), 'mary-javascript-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const REPEATS = 2;
const RUNTIMES = ['node', 'browser'];
const VERSIONS = [
  ['float', null],
  ['M = 16', ['--levels', '16']],
  ['M = 4', ['--levels', '4']],
  ['M = 2', ['--levels', '2']],
  ['M = 4, u8', ['--levels', '4', '--activations', '8']],
];

function fashion() {
  const images = gunzipSync(readFileSync('/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz')).subarray(16);
  const pixels = images.subarray(0, 1000 * 784);
  return { shape: [1000, 1, 28, 28], data: Float32Array.from(pixels, (pixel) => (pixel / 255 - 0.2860) / 0.3530) };
}

function random(shape) {
  const data = Float32Array.from({ length: shape.reduce((product, d) => product * d, 1) }, () => 2 * Math.random() - 1);
  return { shape, data };
}

function classes({ shape: [rows, row], data }) {
  return Array.from({ length: rows }, (_, r) => {
    const scores = data.subarray(r * row, (r + 1) * row);
    return scores.indexOf(Math.max(...scores));
  });
}

async function measure(name, model, x) {
  const [input, output, reference] = ['x.npy', 'y.npy', 'mary.npy'].map((file) => join(folder, file));
  await writeNpy(input, x.shape, x.data);
  const files = VERSIONS.map(([label, options], i) => {
    const file = join(folder, `${i}.onnx`);
    const calibrated = options?.includes('--activations') ? ['--calibration-data', input] : [];
    if (options !== null) execFileSync(mary, ['convert', '-q', model, file, ...options, ...calibrated]);
    return { label, file: options === null ? model : file, best: {}, same: {}, largest: {} };
  });
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    for (const version of files) {
      execFileSync(mary, ['run', version.file, '-i', input, '-o', reference], { stdio: 'ignore' });
      const expected = await readNpy(reference);
      for (const runtime of RUNTIMES) {
        const told = JSON.parse(execFileSync(process.execPath, [join(root, 'tests', runtime, 'run_model.mjs'), version.file, input, output]));
        const best = (version.best[runtime] ??= { ...told });
        for (const key in told) if (typeof told[key] === 'number') best[key] = Math.min(best[key], told[key]);
        const got = await readNpy(output);
        const [ours, theirs] = [classes(got), classes(expected)];
        version.same[runtime] = ours.filter((c, i) => c === theirs[i]).length;
        version.largest[runtime] = got.data.reduce((most, v, i) => Math.max(most, Math.abs(v - expected.data[i])), 0);
      }
    }
  }
  const [{ best: { node, browser } }] = files;
  console.log(`${name}: onnxruntime-node ${node.version} on Node ${process.versions.node}; onnxruntime-web ${browser.version} in ${browser.browser}, `
    + `whose library takes ${browser.library_milliseconds.toFixed(0)} ms before the first session\n`);
  console.log('| | file bytes | ms a sample: Node / browser | session ms: Node / browser | peak MB: Node process / WebAssembly heap '
    + `| same top-1 as \`mary run\`, of ${x.shape[0]}: Node / browser | largest difference: Node / browser |`);
  console.log('|---|---|---|---|---|---|---|');
  const both = (version, format) => RUNTIMES.map((runtime) => format(version.best[runtime], runtime)).join(' / ');
  for (const version of files) {
    console.log(`| ${version.label} | ${statSync(version.file).size.toLocaleString('en')} `
      + `| ${both(version, (told) => told.least_milliseconds_per_sample.toFixed(2))} `
      + `| ${both(version, (told) => told.create_milliseconds.toFixed(0))} | ${both(version, (told) => (told.peak_memory_bytes / 1e6).toFixed(0))} `
      + `| ${both(version, (_, runtime) => version.same[runtime])} | ${both(version, (_, runtime) => version.largest[runtime].toExponential(0))} |`);
  }
  console.log();
}

const wasm = join(packages, 'node_modules', 'onnxruntime-web', 'dist', 'ort-wasm-simd-threaded.wasm');
console.log(`onnxruntime-web's library: ${(statSync(wasm).size / 1e6).toFixed(1)} MB, ${(gzipSync(readFileSync(wasm), { level: 9 }).length / 1e6).toFixed(1)} MB gzipped\n`);
await measure('fashion-lenet5', join(root, 'models', 'fashion-lenet5.onnx'), fashion());
const resnet = join(root, '..', 'shared', 'models', 'resnet32-cifar10.onnx');
if (existsSync(resnet)) await measure('ResNet-32', resnet, random([200, 3, 32, 32]));
else console.log(`left out: ${resnet} is not there`);
