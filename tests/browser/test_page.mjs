#!/usr/bin/env node
// The page of examples/browser in headless Chromium, put together by its own build.sh: it shows the classes that `mary run` gives, the sizes that
// the files have, and what goes wrong when something is missing.
//
//   node test_page.mjs MARY [SCREENSHOT.png]
//
// With a name for it, takes the screenshot of docs/javascript.md. Exit status 77 (CTest: skipped) where packages, Chromium or the images are missing.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { serve } from '../../examples/browser/serve.mjs';
import { readNpy, writeNpy } from '../node/npy.mjs';
import { root } from '../node/packages.mjs';
import { launch, missing } from './chromium.mjs';

const [mary, screenshot] = process.argv.slice(2);
const images = '/usr/share/datasets/fashion-mnist';
const lacking = missing() ?? (existsSync(images) ? null : `${images} is not there (dataset-fashion-mnist)`);
if (lacking !== null) {
  console.log(`SKIPPED: ${lacking}`);
  process.exit(77);
}
let failures = 0;
function check(holds, what) {
  if (holds) return;
  failures++;
  console.log(`FAILED: ${what}`);
}

const folder = mkdtempSync(join(tmpdir(), 'mary-page-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const site = join(folder, 'page');
execFileSync(join(root, 'examples', 'browser', 'build.sh'), ['--mary', mary, site], { stdio: ['ignore', 'ignore', 'inherit'] });
const [float, ...versions] = JSON.parse(readFileSync(join(site, 'models.json'), 'utf8'));
const samples = JSON.parse(readFileSync(join(site, 'samples.json'), 'utf8'));
const pixelsOf = (sample) => Buffer.from(sample.pixels, 'base64');

/** Percentages that `mary run` gives for 28 x 28 pixels. */
async function expected(file, pixels) {
  const [input, output] = [join(folder, 'x.npy'), join(folder, 'y.npy')];
  await writeNpy(input, [1, 1, 28, 28], Float32Array.from(pixels, (pixel) => (pixel / 255 - 0.2860) / 0.3530));
  execFileSync(mary, ['run', join(site, file), '--input', input, '--output', output], { stdio: 'ignore' });
  const powers = [...(await readNpy(output)).data].map(Math.exp);
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => 100 * power / sum);
}

const server = await serve({ '/': site });
const browser = await launch();

/** A page that is loaded and idle. `noise` collects what it puts on the console and errors that nobody caught. */
async function open(options = {}, prepare = async () => {}) {
  const page = await browser.newPage({ viewport: { width: 1100, height: 800 }, ...options });
  page.setDefaultTimeout(120000); // a busy machine is slow, not broken
  const noise = [];
  page.on('console', (message) => noise.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => noise.push(`uncaught: ${error.message}`));
  await prepare(page);
  await page.goto(server.url);
  await page.waitForFunction(() => document.getElementById('verdict').textContent !== 'Loading…' && document.body.ariaBusy !== 'true');
  return { page, noise };
}

const idle = (page) => page.waitForFunction(() => document.body.ariaBusy !== 'true');
const shown = async (page, side) => (await page.locator(`#${side} .value`).allTextContents()).map(parseFloat);
const bytes = async (page, side) => Number(/^([\d,]+) bytes/.exec(await page.locator(`#${side} .bytes`).textContent())?.[1].replaceAll(',', ''));
const problem = async (page) => ((await page.locator('#problem').isVisible()) ? page.locator('#problem').textContent() : '');
const drawn = (page) => page.evaluate(() => [...document.getElementById('drawing').getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0));

/** Both panels show what `mary run` says of these pixels, to the digit that is shown. */
async function checkClasses(page, pixels, version, what) {
  const best = [];
  for (const [side, { file }] of [['float', float], ['mary', version]]) {
    const [got, wanted] = [await shown(page, side), await expected(file, pixels)];
    const off = Math.max(...wanted.map((percent, c) => Math.abs(percent - got[c])));
    check(got.length === 10 && off <= 0.051, `${what}: ${file} shows ${got}, but mary run says ${wanted.map((p) => p.toFixed(1))}`);
    best.push(await page.locator(`#${side} li.best .name`).textContent());
    check(wanted[await page.locator(`#${side} li`).evaluateAll((rows) => rows.findIndex((row) => row.className === 'best'))] === Math.max(...wanted),
      `${what}: ${file}: ${best.at(-1)} is marked as the best class`);
  }
  const verdict = best[0] === best[1] ? `Both say ${best[0]}` : `Float says ${best[0]}, M-ary says ${best[1]}`;
  check(await page.locator('#verdict').textContent() === verdict, `${what}: the verdict is not '${verdict}'`);
}

const m4 = versions.find(({ file }) => file === 'models/m4.onnx');
try {
  const { page, noise } = await open();
  check(await problem(page) === '', `a problem is shown: ${await problem(page)}`);
  await checkClasses(page, pixelsOf(samples[0]), m4, 'at first');
  check(samples.length === 20 && await page.locator('#samples button').count() === 20, 'there are not 20 samples');

  for (const n of [3, 12, 19]) {
    await page.locator('#samples button').nth(n).click();
    await idle(page);
    check(pixelsOf(samples[n]).equals(Buffer.from(await drawn(page))), `sample ${n}: the picture is not the sample`);
    await checkClasses(page, pixelsOf(samples[n]), m4, `sample ${n}`);
  }
  await page.locator('#samples button').nth(5).focus();
  await page.keyboard.press('Enter');
  await idle(page);
  await checkClasses(page, pixelsOf(samples[5]), m4, 'sample 5, chosen by keyboard');

  for (const version of versions) {
    await page.locator('#version').selectOption({ label: version.label });
    await idle(page);
    for (const [side, { file }] of [['float', float], ['mary', version]]) {
      const size = statSync(join(site, file)).size;
      check(await bytes(page, side) === size, `${file} has ${size} bytes, but ${await bytes(page, side)} are shown`);
    }
    await checkClasses(page, pixelsOf(samples[5]), version, version.label);
    check(/^\d+\.\d\d ms$/.test(await page.locator('#mary .time').textContent()), `${version.label}: no time is shown`);
  }

  // Drawing: a stroke changes the picture, and the classes are those of the new one.
  await page.locator('#version').selectOption({ label: m4.label });
  await page.locator('#clear').click();
  await idle(page);
  check((await drawn(page)).every((pixel) => pixel === 0), 'Clear leaves something');
  const box = await page.locator('#drawing').boundingBox();
  await page.mouse.move(box.x + 0.3 * box.width, box.y + 0.2 * box.height);
  await page.mouse.down();
  for (const [x, y] of [[0.3, 0.8], [0.5, 0.3], [0.7, 0.8]]) await page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 6 });
  await page.mouse.up();
  await idle(page);
  const pixels = await drawn(page);
  check(pixels.filter((pixel) => pixel > 0).length > 60, 'a stroke leaves no trace');
  await checkClasses(page, pixels, m4, 'a drawing');
  check(await page.locator('#samples button[aria-pressed=true]').count() === 0, 'a sample is marked although the picture is a drawing');
  check(noise.length === 0, `on the console: ${noise}`);
  if (screenshot !== undefined) {
    await page.locator('#samples button').nth(12).click();
    await idle(page);
    await page.mouse.move(0, 0);
    await page.evaluate(() => document.activeElement.blur());
    await page.screenshot({ path: screenshot, fullPage: true });
  }
  await page.close();

  for (const colorScheme of ['light', 'dark']) {
    const { page: phone } = await open({ viewport: { width: 360, height: 740 }, colorScheme });
    check(await phone.evaluate(() => document.documentElement.scrollWidth) <= 360, `360 pixels wide, ${colorScheme}: it has to be scrolled sideways`);
    await phone.close();
  }

  // What is missing is said, and what is there goes on.
  renameSync(join(site, m4.file), join(folder, 'away.onnx'));
  const { page: lame } = await open();
  check(/models\/m4\.onnx could not be loaded \(404/.test(await problem(lame)), `a missing model: '${await problem(lame)}' is shown`);
  check((await shown(lame, 'float')).every(Number.isFinite), 'a missing model: the other one is not shown');
  check((await shown(lame, 'mary')).every(Number.isNaN), 'a missing model: classes are shown');
  await lame.locator('#version').selectOption({ label: versions[0].label });
  await idle(lame);
  check(await problem(lame) === '', `another version is there, but the problem stays: '${await problem(lame)}'`);
  await checkClasses(lame, pixelsOf(samples[0]), versions[0], 'after a missing model');
  await lame.close();

  const broken = async (what, prepare, reason) => {
    const { page: other } = await open({}, prepare);
    check(reason.test(await problem(other)), `${what}: '${await problem(other)}' is shown`);
    await other.close();
  };
  await broken('a file that is no model', (p) => p.route('**/m4.onnx', (route) => route.fulfill({ body: 'nonsense' })), /m4\.onnx could not be made ready: /);
  await broken('no list of models', (p) => p.route('**/models.json', (route) => route.fulfill({ status: 404 })), /models\.json is missing: .*build\.sh/);
  await broken('no WebAssembly', (p) => p.addInitScript(() => { delete window.WebAssembly; }), /no WebAssembly/);
  await broken('no runtime', (p) => p.route('**/*.wasm', (route) => route.abort()), /onnxruntime-web is missing: .*build\.sh/);
  await broken('no module of the runtime', (p) => p.route('**/ort.wasm.min.mjs', (route) => route.abort()), /onnxruntime-web is missing/);
} finally {
  await browser.close();
  await server.close();
}
console.log(failures === 0 ? 'the page shows what mary run says' : `${failures} failures`);
process.exitCode = failures > 0 ? 1 : 0;
