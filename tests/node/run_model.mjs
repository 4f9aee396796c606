#!/usr/bin/env node
// Runs a model in onnxruntime-node over an array of samples.
//
//   node run_model.mjs MODEL.onnx INPUT.npy OUTPUT.npy [--batch N] [--threads N]
//
// INPUT.npy is float32 [N, ...]; OUTPUT.npy gets the model's first output, float32. Prints one line of JSON: runtime, version,
// milliseconds_per_sample (the median over the batches), least_milliseconds_per_sample (what to compare by on a busy machine),
// create_milliseconds, peak_memory_bytes and memory, which says what that is the peak of: here the whole process.
// Exit status 1, and a line on stderr, when anything fails; 2 for wrong usage; 77 when onnxruntime-node is not installed.
import { runnerArguments } from './arguments.mjs';
import { runInBatches } from './batches.mjs';
import { readNpy, writeNpy } from './npy.mjs';
import { installed, load } from './packages.mjs';

const { model, input, output, batch, threads } = runnerArguments();
if (!installed('onnxruntime-node')) {
  console.error('SKIPPED: onnxruntime-node is not installed (scripts/setup.sh --tests)');
  process.exit(77);
}
try {
  const ort = load('onnxruntime-node');
  const x = await readNpy(input);
  const start = performance.now();
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3 });
  const createMilliseconds = performance.now() - start;
  const result = await runInBatches(ort, session, x, batch);
  await writeNpy(output, result.shape, result.data);
  console.log(JSON.stringify({
    runtime: 'onnxruntime-node',
    version: ort.env.versions.node,
    milliseconds_per_sample: result.milliseconds_per_sample,
    least_milliseconds_per_sample: result.least_milliseconds_per_sample,
    peak_memory_bytes: process.resourceUsage().maxRSS * 1024, // libuv counts KiB
    memory: 'process',
    create_milliseconds: createMilliseconds,
  }));
} catch (error) {
  console.error(`run_model: ${model}: ${error.message}`);
  process.exit(1);
}
