# SPDX-License-Identifier: Apache-2.0
"""The style and the script of a page of `bede plot`: constants, so that the page can name their hashes."""

STYLE = """\
:root { --paper: #ffffff; --ink: #26313d; --soft: #66717e; --grid: #dfe4ea; --local: #2b6cb0; --far: #f0b35a;
  --bound: #b3261e; --demoted: #7b4fb5; --promoted: #2f8f5b; --steered: #8a8f98; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #dce3ea; --soft: #93a0ad;
  --grid: #2b333c; --local: #4f93d8; --far: #d99b43; --bound: #ff6b5e; --demoted: #b08be8;
  --promoted: #55bd85; --steered: #a4abb5; } }
body { background: var(--paper); color: var(--ink); margin: 1.5rem auto; padding: 0 1rem; max-width: 84rem;
  font: 15px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.35rem; margin: 0 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
h2 span { color: var(--soft); font-weight: normal; margin-left: .6rem; }
p { margin: .1rem 0 .2rem; color: var(--soft); font-size: .87rem; font-variant-numeric: tabular-nums; }
section.runs2 p, section.runs3 p, section.runs4 p { min-height: 2.8em; }
section { display: grid; gap: 0 1.5rem; margin: 1.2rem 0; }
section.runs2 { grid-template-columns: repeat(2, minmax(0, 1fr)); }
section.runs3 { grid-template-columns: repeat(3, minmax(0, 1fr)); }
section.runs4 { grid-template-columns: repeat(4, minmax(0, 1fr)); }
@media (max-width: 44rem) { section.runs2, section.runs3, section.runs4 { grid-template-columns: 1fr; } }
nav { position: sticky; top: 0; background: var(--paper); padding: .4rem 0; z-index: 1; }
button { font: inherit; font-size: .87rem; color: var(--ink); background: none; border: 1px solid var(--grid);
  border-radius: 1rem; padding: .1rem .7rem; margin: 0 .3rem .2rem 0; cursor: pointer; }
button::before { content: ""; display: inline-block; width: .7em; height: .7em; border-radius: .2em;
  margin-right: .4em; background: currentColor; }
button[aria-pressed=false] { opacity: .45; text-decoration: line-through; }
button.local::before { background: var(--local); } button.far::before { background: var(--far); }
button.bound::before { background: var(--bound); } button.demoted::before { background: var(--demoted); }
button.promoted::before { background: var(--promoted); }
button.steered::before { background: var(--steered); }
svg { display: block; width: 100%; height: auto; touch-action: pan-y; }
svg text { fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--grid); stroke-width: 1; } svg .axis { stroke: var(--ink); stroke-width: 1; }
svg path { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
svg path.local { fill: var(--local); stroke: var(--local); stroke-width: .9; stroke-linejoin: bevel; }
  svg path.far { fill: var(--far); }
svg path.bound { stroke: var(--bound); stroke-width: 2; } svg path.demoted { stroke: var(--demoted); }
svg path.promoted { stroke: var(--promoted); } svg path.steered { stroke: var(--steered); }
svg .cursor { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 3; visibility: hidden; }
.no-local path.local, .no-far path.far, .no-bound path.bound, .no-demoted path.demoted,
.no-promoted path.promoted, .no-steered path.steered { display: none; }
@media print { nav { position: static; } }
"""

SCRIPT = """\
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const cells = [...document.querySelectorAll('article[data-cell]')].map(element => ({
  svg: element.querySelector('svg'), text: element.querySelector('p'),
  said: element.querySelector('p').textContent,
  cursor: element.querySelector('.cursor'), of: data.cells[Number(element.dataset.cell)] }));
const at = (times, time) => { // the last that is not later
  let low = 0, high = times.length;
  while (low < high) { const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1; else high = middle; }
  return low - 1; };
const show = time => { for (const cell of cells) {
  const x = data.left + (data.right - data.left) * time / data.end;
  for (const name of ['x1', 'x2']) cell.cursor.setAttribute(name, x.toFixed(1));
  cell.cursor.style.visibility = 'visible';
  const index = at(cell.of.t, time), times = cell.of.t;
  if (index < 0 || time > times[times.length - 1] + data.end / 100) {
    cell.text.textContent = time.toFixed(2) + ' s: not there'; continue; }
  const sizes = [['local', cell.of.l], ['far', cell.of.f], ['bound', cell.of.b]];
  const named = sizes.map(([name, values]) => name + ' ' + values[index].toFixed(1));
  let text = time.toFixed(2) + ' s: ' + named.join(', ') + ' MiB';
  const rate = cell.of.r[at(cell.of.r.map(one => one[0]), time)];
  if (rate && time <= rate[1]) {
    const moved = ['demoted', 'promoted', 'steered'].map((name, place) =>
      rate[2 + place] === null ? '' : name + ' ' + rate[2 + place].toFixed(1));
    text += '; ' + moved.filter(Boolean).join(', ') + ' MiB/s'; }
  cell.text.textContent = text; } };
const hide = () => { for (const cell of cells) {
  cell.cursor.style.visibility = 'hidden'; cell.text.textContent = cell.said; } };
for (const cell of cells) {
  cell.svg.addEventListener('pointermove', event => {
    const box = cell.svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * data.width;
    const share = (x - data.left) / (data.right - data.left);
    if (share >= 0 && share <= 1) show(share * data.end); else hide(); });
  cell.svg.addEventListener('pointerleave', hide); }
for (const button of document.querySelectorAll('nav button')) button.addEventListener('click', () => {
  const hidden = document.body.classList.toggle('no-' + button.className);
  button.setAttribute('aria-pressed', String(!hidden)); });
"""
