// NumPy's .npy files, as far as the runners need them: float32, little endian, row-major.
import { readFile, writeFile } from 'node:fs/promises';

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');

/** Reads an array from the bytes of a .npy file (Buffer or Uint8Array): { shape: number[], data: Float32Array }, data a copy of its own.
 *  Throws an Error that says what is wrong with anything else than float32, little endian, row-major and complete. */
export function parseNpy(bytes) {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 12 || !buffer.subarray(0, 6).equals(MAGIC)) throw new Error('not a .npy file');
  const wide = buffer[6] >= 2; // version 1 has a length of two bytes, 2 and 3 of four
  const start = wide ? 12 : 10;
  const end = start + (wide ? buffer.readUInt32LE(8) : buffer.readUInt16LE(8));
  if (end > buffer.length) throw new Error('the header is cut off');
  const header = buffer.toString('latin1', start, end);
  const type = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const dimensions = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1];
  if (type !== '<f4') throw new Error(`elements are ${type ?? 'of unknown type'}, not float32 (<f4)`);
  if (order !== 'False') throw new Error('the order is not row-major');
  if (dimensions === undefined) throw new Error('the header has no shape');
  const shape = dimensions.split(',').map((d) => d.trim()).filter((d) => d !== '').map(Number);
  const bytesWanted = 4 * shape.reduce((product, d) => product * d, 1);
  if (buffer.length - end !== bytesWanted) {
    throw new Error(`${buffer.length - end} bytes of data, but shape [${shape}] needs ${bytesWanted}`);
  }
  const data = new Float32Array(bytesWanted / 4);
  Buffer.from(data.buffer).set(buffer.subarray(end)); // little endian, as every machine that Node runs on nowadays
  return { shape, data };
}

/** The bytes of a .npy file, version 1, that holds `data` (Float32Array) with `shape`. */
export function formatNpy(shape, data) {
  const count = shape.reduce((product, d) => product * d, 1);
  if (data.length !== count) throw new Error(`${data.length} values, but shape [${shape}] needs ${count}`);
  const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dimensions}), }`;
  const padded = Math.ceil((10 + text.length + 1) / 64) * 64; // data begin on a multiple of 64 bytes
  const header = Buffer.alloc(padded, ' ');
  MAGIC.copy(header);
  header.writeUInt16LE(1, 6); // version 1.0: the bytes 1 and 0
  header.writeUInt16LE(padded - 10, 8);
  header.write(text, 10, 'latin1');
  header[padded - 1] = 0x0a;
  return Buffer.concat([header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

/** parseNpy of a file; errors name it. */
export async function readNpy(path) {
  const bytes = await readFile(path);
  try {
    return parseNpy(bytes);
  } catch (error) {
    throw new Error(`${path}: ${error.message}`);
  }
}

export async function writeNpy(path, shape, data) {
  await writeFile(path, formatNpy(shape, data));
}
