// The command line that both runners share.
import { parseArgs } from 'node:util';

export const usage = 'run_model.mjs MODEL.onnx INPUT.npy OUTPUT.npy [--batch N] [--threads N]';

/** { model, input, output, batch, threads } of process.argv; anything else prints the usage and ends the process with status 2. */
export function runnerArguments() {
  const whole = (text, name) => {
    if (!/^[1-9]\d{0,6}$/.test(text)) throw new Error(`--${name} takes a positive number, not '${text}'`);
    return Number(text);
  };
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { batch: { type: 'string', default: '1' }, threads: { type: 'string', default: '1' } },
    });
    if (positionals.length !== 3) throw new Error('a model, an input and an output are needed');
    const [model, input, output] = positionals;
    return { model, input, output, batch: whole(values.batch, 'batch'), threads: whole(values.threads, 'threads') };
  } catch (error) {
    console.error(`${error.message}\nusage: node ${usage}`);
    process.exit(2);
  }
}
