#!/usr/bin/env node
// Converted files in onnxruntime-node and onnxruntime-web, without a plugin: the float model, weights only at M = 16, 4 and 2, and u8
// activations at M = 4 give what `mary run` gives.
//
//   node test_models.mjs MARY node|browser MODEL.onnx...
//
// Runs tests/node/run_model.mjs or tests/browser/run_model.mjs, so that these are tested, too. Inputs are random. Models that are absent are named
// and left out; exit status 77 (CTest: skipped) when there is nothing to run them with.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { missing } from '../browser/chromium.mjs';
import { readNpy, writeNpy } from './npy.mjs';
import { installed } from './packages.mjs';

const [mary, where, ...models] = process.argv.slice(2);
if (models.length === 0 || !['node', 'browser'].includes(where)) {
  console.error('usage: node test_models.mjs MARY node|browser MODEL.onnx...');
  process.exit(2);
}
const lacking = where === 'browser' ? missing() : installed('onnxruntime-node') ? null : 'onnxruntime-node is not installed (scripts/setup.sh --tests)';
if (lacking !== null) {
  console.log(`SKIPPED: ${lacking}`);
  process.exit(77);
}
const runner = join(dirname(fileURLToPath(import.meta.url)), '..', where, 'run_model.mjs');
const folder = mkdtempSync(join(tmpdir(), 'mary-node-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const samples = 24;
const batch = 7; // the last batch has 3

let failures = 0;
function check(holds, what) {
  if (holds) return;
  failures++;
  console.log(`FAILED: ${what}`);
}

/** Normal random numbers, the same every time: mulberry32 and Box-Muller. */
function random(seed, count) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

const quiet = { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' };

/** [C, H, W] of the model's input, which `mary inspect` knows. */
function sampleShape(model) {
  const [input] = JSON.parse(execFileSync(mary, ['inspect', model, '--json'], quiet)).inputs;
  return /\[\w+,([\d,]+)\]$/.exec(input.type)[1].split(',').map(Number); // float[N,1,28,28]
}

/** Largest difference, infinity when anything is not finite or the shapes differ; and whether the best classes are the same in every row. */
function compare(got, expected) {
  const same = got.shape.length === expected.shape.length && got.shape.every((d, i) => d === expected.shape[i]);
  if (!same) return { largest: Infinity, scale: 1, top1: false };
  let largest = 0, scale = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const difference = Math.abs(got.data[i] - expected.data[i]);
    largest = Number.isFinite(difference) ? Math.max(largest, difference) : Infinity;
    scale = Math.max(scale, Math.abs(expected.data[i]));
  }
  const row = expected.shape[1];
  const best = (data, r) => data.subarray(r * row, (r + 1) * row).reduce((top, v, i, all) => (v > all[top] ? i : top), 0);
  const top1 = expected.shape[0] > 0 && [...Array(expected.shape[0]).keys()].every((r) => best(got.data, r) === best(expected.data, r));
  return { largest, scale, top1 };
}

/** Both runtimes on one file. `step` is one step of the quantised output, or null for a float one. */
async function checkFile(label, model, input, step) {
  const [got, expected] = [join(folder, 'got.npy'), join(folder, 'expected.npy')];
  rmSync(got, { force: true });
  const run = spawnSync(process.execPath, [runner, model, input, got, '--batch', String(batch)], quiet);
  check(run.status === 0, `${label}: the runner ends with ${run.status}: ${run.stderr.trim()}`);
  if (run.status !== 0) return;
  execFileSync(mary, ['run', model, '--input', input, '--output', expected], quiet);
  const { largest, scale, top1 } = compare(await readNpy(got), await readNpy(expected));
  const tolerance = step === null ? 1e-4 * scale : 1.001 * step; // a step, to the rounding of both ends
  check(largest <= tolerance, `${label}: outputs differ from mary run's by ${largest}, more than ${tolerance}`);
  check(top1, `${label}: not the same best classes as mary run's`);
  const told = JSON.parse(run.stdout);
  check(told.runtime === (where === 'node' ? 'onnxruntime-node' : 'onnxruntime-web') && /^\d+\.\d+\.\d+/.test(told.version),
    `${label}: the runner says runtime ${told.runtime} ${told.version}`);
  for (const figure of ['milliseconds_per_sample', 'create_milliseconds', 'peak_memory_bytes']) {
    check(told[figure] > 0, `${label}: the runner says ${figure} ${told[figure]}`);
  }
  console.log(`${label}: largest difference ${largest.toExponential(1)} of ${scale.toFixed(1)}`
    + (step === null ? '' : ` (${(largest / step).toFixed(2)} steps)`));
}

for (const model of models) {
  const name = basename(model, '.onnx');
  if (!existsSync(model)) {
    console.log(`${name}: left out, ${model} is not there`);
    continue;
  }
  const shape = sampleShape(model);
  const count = shape.reduce((product, d) => product * d, 1);
  const [input, calibration] = [join(folder, 'input.npy'), join(folder, 'calibration.npy')];
  await writeNpy(input, [samples, ...shape], random(1, samples * count));
  await writeNpy(calibration, [64, ...shape], random(2, 64 * count));
  await checkFile(`${name} float`, model, input, null);
  for (const levels of [16, 4, 2]) {
    const converted = join(folder, `m${levels}.onnx`);
    execFileSync(mary, ['convert', '-q', model, converted, '--levels', String(levels), '--first-last', 'same'], quiet);
    await checkFile(`${name} M=${levels}`, converted, input, null);
  }
  const [converted, report] = [join(folder, 'u8.onnx'), join(folder, 'u8.json')];
  execFileSync(mary, ['convert', '-q', model, converted, '--levels', '4', '--activations', '8', '--calibration-data', calibration, '--report', report], quiet);
  const { activations } = JSON.parse(readFileSync(report, 'utf8'));
  await checkFile(`${name} M=4 u8`, converted, input, activations[activations.length - 1].scale); // the last one made is the output's
}

// Broken values must be seen: what compare() lets through, no model can fail.
const good = { shape: [1, 2], data: Float32Array.of(1, 2) };
for (const [what, data] of [['NaN', [NaN, 2]], ['infinity', [1, Infinity]], ['a difference', [1, 2.001]]]) {
  const { largest } = compare({ shape: [1, 2], data: Float32Array.from(data) }, good);
  check(!(largest <= 1e-4 * 2), `compare() accepts ${what}`);
}
check(!compare({ shape: [1, 2], data: Float32Array.of(3, 2) }, good).top1, 'compare() accepts another best class');
check(!(compare({ shape: [2, 1], data: good.data }, good).largest <= 1), 'compare() accepts another shape');
process.exitCode = failures > 0 ? 1 : 0;
