// Sample images for the page, as JSON: the first two of each class among Fashion-MNIST's test images.
//
//   node samples.mjs FOLDER        [{ "index": place in the test set, "label": class, "pixels": base64 of 28 x 28 bytes, 0 is background }, ...]
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const PER_CLASS = 2, CLASSES = 10, PIXELS = 28 * 28;
const folder = process.argv[2];
// IDX files: a header of 16 (images) or 8 (labels) bytes, then one byte a pixel or label.
const images = gunzipSync(readFileSync(join(folder, 't10k-images-idx3-ubyte.gz'))).subarray(16);
const labels = gunzipSync(readFileSync(join(folder, 't10k-labels-idx1-ubyte.gz'))).subarray(8);

const chosen = [];
for (let label = 0; label < CLASSES; label++) {
  for (let index = 0, found = 0; index < labels.length && found < PER_CLASS; index++) {
    if (labels[index] !== label) continue;
    found++;
    chosen.push({ index, label, pixels: images.subarray(index * PIXELS, (index + 1) * PIXELS).toString('base64') });
  }
}
console.log(JSON.stringify(chosen));
