// Classifies a picture with the float model and with an M-ary one, side by side.
//
// What is particular to M-ary models: nothing. They are loaded and run like any other (load() and classify() below).
const CLASSES = ['T-shirt', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'];
const SIDE = 28, PIXELS = SIDE * SIDE;
const MEAN = 0.2860, STD = 0.3530; // of the pixels, 0..1, that the network was trained on
const TIMED_RUNS = 21;

const byId = (id) => document.getElementById(id);
const drawing = byId('drawing').getContext('2d', { willReadFrequently: true });

// ---- models

let ort; // onnxruntime-web

/** Gets onnxruntime-web ready to be used; returns the bytes of its WebAssembly. */
async function loadRuntime() {
  if (typeof WebAssembly !== 'object') throw new Error('This browser has no WebAssembly, or it is switched off: models cannot run.');
  const wasm = await fetch('ort/ort-wasm-simd-threaded.wasm', { method: 'HEAD' }).catch(() => null);
  ort = await import('./ort/ort.wasm.min.mjs').catch(() => null);
  if (!wasm?.ok || ort === null) throw new Error('onnxruntime-web is missing: examples/browser/build.sh puts it into ort/');
  ort.env.wasm.wasmPaths = new URL('ort/', import.meta.url).href;
  ort.env.wasm.numThreads = 1; // more need a page that is cross-origin isolated; these models are too small to gain from them
  ort.env.logLevel = 'error';
  return Number(wasm.headers.get('Content-Length'));
}

/** Fetches a model and makes a session of it: { session, bytes }. */
async function load(file) {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file} could not be loaded (${response.status} ${response.statusText})`);
  const model = new Uint8Array(await response.arrayBuffer());
  try {
    return { session: await ort.InferenceSession.create(model, { executionProviders: ['wasm'] }), bytes: model.length };
  } catch (error) {
    throw new Error(`${file} could not be made ready: ${error.message}`);
  }
}

/** Class probabilities of pictures, one Float32Array of ten for each PIXELS bytes. */
async function classify(session, pixels) {
  const x = Float32Array.from(pixels, (pixel) => (pixel / 255 - MEAN) / STD);
  const input = new ort.Tensor('float32', x, [pixels.length / PIXELS, 1, SIDE, SIDE]);
  const output = await session.run({ [session.inputNames[0]]: input });
  const logits = output[session.outputNames[0]].data;
  return Array.from({ length: pixels.length / PIXELS }, (_, n) => softmax(logits.slice(n * CLASSES.length, (n + 1) * CLASSES.length)));
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

const best = (probabilities) => probabilities.indexOf(Math.max(...probabilities));

// ---- what is shown

const number = (value, digits = 0) => value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });

function showProblem(text) {
  byId('problem').textContent = text;
  byId('problem').hidden = text === '';
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Facts and bars of one model. */
function makePanel(article, heading) {
  const facts = Object.fromEntries(['bytes', 'accuracy', 'time'].map((name) => [name, element('dd', { className: name, textContent: '–' })]));
  const rows = CLASSES.map((name) => {
    const row = { fill: element('i'), value: element('span', { className: 'value', textContent: '–' }) };
    row.item = element('li', {}, element('span', { className: 'name', textContent: name }), element('span', { className: 'bar' }, row.fill), row.value);
    return row;
  });
  article.replaceChildren(heading,
    element('dl', {}, element('dt', { textContent: 'Download' }), facts.bytes, element('dt', { textContent: 'Accuracy' }), facts.accuracy,
      element('dt', { textContent: 'Time' }), facts.time),
    element('ol', {}, ...rows.map((row) => row.item)));
  return {
    facts,
    showClasses(probabilities) {
      rows.forEach((row, c) => {
        row.item.classList.toggle('best', c === best(probabilities));
        row.fill.style.width = `${100 * probabilities[c]}%`;
        row.value.textContent = `${number(100 * probabilities[c], 1)} %`;
      });
    },
    clear() {
      rows.forEach((row) => { row.item.classList.remove('best'); row.fill.style.width = '0'; row.value.textContent = '–'; });
      Object.values(facts).forEach((fact) => { fact.textContent = '–'; });
    },
  };
}

// ---- the picture

function currentPixels() {
  const { data } = drawing.getImageData(0, 0, SIDE, SIDE);
  return Uint8Array.from({ length: PIXELS }, (_, i) => data[4 * i]);
}

function show(context, pixels) {
  const image = context.createImageData(SIDE, SIDE);
  pixels.forEach((pixel, i) => image.data.set([pixel, pixel, pixel, 255], 4 * i));
  context.putImageData(image, 0, 0);
}

function makeSample(sample) {
  const canvas = element('canvas', { width: SIDE, height: SIDE });
  show(canvas.getContext('2d'), sample.pixels);
  const button = element('button', { type: 'button', title: CLASSES[sample.label] }, canvas);
  button.setAttribute('aria-label', `${CLASSES[sample.label]}, test image ${sample.index}`);
  button.setAttribute('aria-pressed', 'false');
  button.addEventListener('click', () => {
    show(drawing, sample.pixels);
    pressed(button);
    update();
  });
  return button;
}

function pressed(button) {
  for (const other of byId('samples').children) other.setAttribute('aria-pressed', String(other === button));
}

function listenToDrawing() {
  const canvas = drawing.canvas;
  let last = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
  };
  const stroke = (event) => {
    const here = at(event);
    drawing.strokeStyle = '#fff';
    drawing.lineWidth = 2.5;
    drawing.lineCap = 'round';
    drawing.beginPath();
    drawing.moveTo(...last);
    drawing.lineTo(here[0] + 0.01, here[1]); // a tap is a dot
    drawing.stroke();
    last = here;
    pressed(null);
    update({ timed: false });
  };
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = at(event);
    stroke(event);
  });
  canvas.addEventListener('pointermove', (event) => { if (last !== null) stroke(event); });
  for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { if (last !== null) { last = null; update(); } });
  byId('clear').addEventListener('click', () => { show(drawing, new Uint8Array(PIXELS)); pressed(null); update(); });
}

// ---- all together

const sides = []; // float and M-ary: { panel, entry (of models.json), session and bytes once it is loaded, times }
let samples = [];
let queue = Promise.resolve(); // one thing at a time: a session runs one picture at once
let waiting = 0;
let newest = 0;

function enqueue(work) {
  waiting++;
  document.body.setAttribute('aria-busy', 'true');
  queue = queue.then(work).catch((error) => showProblem(error.message)).finally(() => {
    waiting--;
    document.body.setAttribute('aria-busy', String(waiting > 0));
  });
  return queue;
}

/** Classifies the current picture with both models; pictures that were replaced in the meantime are skipped. */
function update({ timed = true } = {}) {
  const mine = ++newest;
  return enqueue(async () => {
    if (mine !== newest) return;
    const pixels = currentPixels();
    const ready = sides.filter((side) => side.session);
    const answers = [];
    for (const side of ready) {
      const [probabilities] = await classify(side.session, pixels);
      side.panel.showClasses(probabilities);
      answers.push(CLASSES[best(probabilities)]);
    }
    if (answers.length < 2) byId('verdict').textContent = answers.length === 1 ? answers[0] : '';
    else if (answers[0] === answers[1]) byId('verdict').textContent = `Both say ${answers[0]}`;
    else byId('verdict').textContent = `Float says ${answers[0]}, M-ary says ${answers[1]}`;
    if (!timed) return;
    // In turns, so that what else the machine does disturbs both alike; the first turn of each is not counted.
    for (const side of ready) side.times = [];
    for (let run = 0; run <= TIMED_RUNS; run++) {
      for (const side of ready) {
        const start = performance.now();
        await classify(side.session, pixels);
        if (run > 0) side.times.push(performance.now() - start);
      }
    }
    for (const side of ready) side.panel.facts.time.textContent = `${number(median(side.times), 2)} ms`;
  });
}

/** Puts a model on one side: fetched the first time, then kept. */
function choose(side, entry) {
  side.entry = entry;
  return enqueue(async () => {
    if (side.entry !== entry) return;
    side.session = null;
    side.panel.clear();
    entry.loaded ??= await load(entry.file);
    Object.assign(side, entry.loaded);
    showProblem('');
    const { bytes, accuracy } = side.panel.facts;
    const [float] = sides;
    bytes.textContent = `${number(side.bytes)} bytes`;
    if (side !== float && float.bytes) bytes.append(element('small', { textContent: `${number(float.bytes / side.bytes, 1)} times smaller` }));
    accuracy.textContent = `${number(entry.top1, 2)} %`;
    if (side !== float && float.session) {
      const all = Uint8Array.from(samples.flatMap((sample) => [...sample.pixels]));
      const [theirs, ours] = [await classify(float.session, all), await classify(side.session, all)];
      const agreed = ours.filter((probabilities, n) => best(probabilities) === best(theirs[n])).length;
      accuracy.append(element('small', { textContent: `as float says on ${agreed} of these ${samples.length}` }));
    }
  });
}

async function fetchJson(file) {
  const response = await fetch(file).catch(() => null);
  if (!response?.ok) throw new Error(`${file} is missing: examples/browser/build.sh makes it`);
  return response.json();
}

async function start() {
  byId('runtime-bytes').textContent = `${number(await loadRuntime() / 1e6, 1)} MB`;
  const [float, ...others] = await fetchJson('models.json');
  samples = (await fetchJson('samples.json')).map((sample) => ({ ...sample, pixels: Uint8Array.from(atob(sample.pixels), (c) => c.charCodeAt(0)) }));
  byId('samples').replaceChildren(...samples.map(makeSample));

  const select = element('select', { id: 'version' }, ...others.map((entry, i) => new Option(entry.label, i)));
  select.value = String(others.findIndex((entry) => entry.file.endsWith('m4.onnx')));
  const label = element('label', { className: 'sr-only', textContent: 'M-ary version', htmlFor: 'version' });
  sides.push({ panel: makePanel(byId('float'), element('h3', { textContent: 'Float' })) });
  sides.push({ panel: makePanel(byId('mary'), element('h3', {}, label, select)) });
  select.addEventListener('change', () => { choose(sides[1], others[select.value]); update(); });

  listenToDrawing();
  const [first] = byId('samples').children;
  show(drawing, samples[0].pixels);
  pressed(first);
  choose(sides[0], float);
  choose(sides[1], others[select.value]);
  await update();
}

start().catch((error) => {
  showProblem(error.message);
  byId('verdict').textContent = '';
});
