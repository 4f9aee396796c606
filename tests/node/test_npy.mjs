#!/usr/bin/env node
// tests/node/npy.mjs: what it writes it reads, the bytes are NumPy's, and anything else is refused with its reason.
import assert from 'node:assert/strict';
import test from 'node:test';

import { formatNpy, parseNpy } from './npy.mjs';

/** A .npy file put together by hand. */
function file(header, data = Buffer.alloc(0), { version = 1, length = header.length } = {}) {
  const size = Buffer.alloc(version === 1 ? 2 : 4);
  if (version === 1) size.writeUInt16LE(length);
  else size.writeUInt32LE(length);
  return Buffer.concat([Buffer.from('\x93NUMPY', 'latin1'), Buffer.from([version, 0]), size, Buffer.from(header, 'latin1'), data]);
}
const plain = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n";
const one = Buffer.from([0, 0, 0x80, 0x3f]); // 1.0

for (const shape of [[3], [2, 3], [1, 1, 28, 28], [0, 5], []]) {
  test(`an array of shape [${shape}] comes back as it was`, () => {
    const data = Float32Array.from({ length: shape.reduce((p, d) => p * d, 1) }, (_, i) => i / 3 - 1);
    assert.deepEqual(parseNpy(formatNpy(shape, data)), { shape, data });
  });
}

test('the bytes written are those that NumPy writes', () => {
  const bytes = formatNpy([1], Float32Array.of(1));
  assert.equal(bytes.length, 132);
  assert.equal(bytes.toString('latin1', 0, 10), '\x93NUMPY\x01\x00\x76\x00');
  assert.equal(bytes.toString('latin1', 10, 128), plain.trimEnd().padEnd(117) + '\n');
  assert.deepEqual(bytes.subarray(128), one);
});

test('versions 1 and 2 are read, wherever the bytes lie', () => {
  for (const version of [1, 2]) {
    const bytes = file(plain, one, { version });
    const moved = new Uint8Array(bytes.length + 1);
    moved.set(bytes, 1);
    assert.deepEqual(parseNpy(moved.subarray(1)), { shape: [1], data: Float32Array.of(1) });
  }
});

const refused = {
  'an empty file': [Buffer.alloc(0), /not a \.npy/],
  'another kind of file': [Buffer.alloc(64, 7), /not a \.npy/],
  'a header that is cut off': [file(plain, one, { length: 9999 }), /cut off/],
  'double precision': [file(plain.replace('<f4', '<f8'), one), /<f8, not float32/],
  'big endian': [file(plain.replace('<f4', '>f4'), one), />f4, not float32/],
  'Fortran order': [file(plain.replace('False', 'True'), one), /row-major/],
  'no shape': [file(plain.replace('shape', 'form'), one), /no shape/],
  'too few data': [file(plain.replace('(1,)', '(2,)'), one), /4 bytes of data/],
  'too many data': [file(plain, Buffer.concat([one, one])), /8 bytes of data/],
  'a size beyond all memory': [file(plain.replace('(1,)', `(${'9'.repeat(400)}, 9)`), one), /4 bytes of data/],
};
for (const [what, [bytes, reason]] of Object.entries(refused)) {
  test(`${what} is refused`, () => assert.throws(() => parseNpy(bytes), reason));
}
test('values that do not fit the shape are not written', () => {
  assert.throws(() => formatNpy([2, 2], Float32Array.of(1)), /needs 4/);
});
