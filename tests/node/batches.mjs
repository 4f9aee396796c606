// Runs a session over an array of samples. The same code for onnxruntime-node and, in the page, for onnxruntime-web: nothing of Node in here.

/** Feeds x ({ shape: [N, ...], data: Float32Array }) to the session's only input, `batch` samples at a time (the last time what is left).
 *  Returns the session's first output, all batches one after the other, and the time of one sample, the median over the batches and the least:
 *  { shape, data, milliseconds_per_sample, least_milliseconds_per_sample }. The first batch is run once more before that, so that what a
 *  runtime does on its first run is not in the time. */
export async function runInBatches(ort, session, x, batch) {
  if (session.inputNames.length !== 1) throw new Error(`the model has ${session.inputNames.length} inputs; one can be fed`);
  const [count, ...sample] = x.shape;
  const size = sample.reduce((product, d) => product * d, 1);
  if (!(count > 0 && size > 0)) throw new Error(`the input [${x.shape}] has no samples`);
  const [inputName] = session.inputNames;
  const [outputName] = session.outputNames;
  const runFrom = async (first) => {
    const here = Math.min(batch, count - first);
    const tensor = new ort.Tensor('float32', x.data.subarray(first * size, (first + here) * size), [here, ...sample]);
    const start = performance.now();
    const output = (await session.run({ [inputName]: tensor }))[outputName];
    const milliseconds = performance.now() - start;
    if (output.type !== 'float32') throw new Error(`output ${outputName} is ${output.type}, not float32`);
    if (output.dims[0] !== here) throw new Error(`output ${outputName} is [${output.dims}] for ${here} samples`);
    return { dims: output.dims, data: output.data, milliseconds };
  };
  await runFrom(0);
  let shape, data;
  const times = [];
  for (let first = 0; first < count; first += batch) {
    const output = await runFrom(first);
    const row = output.data.length / output.dims[0];
    shape ??= [count, ...output.dims.slice(1)];
    data ??= new Float32Array(count * row);
    data.set(output.data, first * row);
    times.push(output.milliseconds / output.dims[0]);
  }
  times.sort((a, b) => a - b);
  return { shape, data, milliseconds_per_sample: times[times.length >> 1], least_milliseconds_per_sample: times[0] };
}
