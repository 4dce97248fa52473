// The list of queries: filters, order, details, and links by `#q=ID`.

const PAGE = 100;
const pair = data.pair ? data.pair.map((name) => data.systems.findIndex((s) => s.name === name)) : [0, 0];
const state = { a: pair[0], b: pair[1], measure: 0, order: 'b', quick: 'all', words: '', limit: PAGE, all: false };
const several = data.systems.length > 1;

const nameA = () => data.systems[state.a].name;
const nameB = () => data.systems[state.b].name;
const valueOf = (query, system) => (judged ? query.values[state.measure][system] : null);

// The value of A minus that of B; without judgments, the fraction of hits not in common.
function gapOf(query) {
  if (!judged) return several ? 1 - overlapOf(query) : null;
  const a = valueOf(query, state.a);
  const b = valueOf(query, state.b);
  return a == null || b == null ? null : a - b;
}

function overlapOf(query) {
  const first = new Set(query.hits[state.a].map(([at]) => at));
  const common = query.hits[state.b].filter(([at]) => first.has(at)).length;
  const longest = Math.max(first.size, query.hits[state.b].length);
  return longest === 0 ? 1 : common / longest;
}

function hardness(query) {
  const known = data.systems.map((_, at) => valueOf(query, at)).filter((value) => value != null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : Infinity;
}

const filters = {
  all: () => true,
  a: (query) => gapOf(query) > 0,
  b: (query) => gapOf(query) != null && gapOf(query) < 0,
  tied: (query) => gapOf(query) === 0,
  missed: (query) => query.missed,
};

function filterNames() {
  if (!judged) return several ? { all: 'All', tied: 'Same results' } : { all: 'All' };
  const pairs = { a: `${nameA()} beats ${nameB()}`, b: `${nameB()} beats ${nameA()}`, tied: 'Tied' };
  const missed = 'No system found it: check the label';
  return { all: 'All', ...(several && state.a !== state.b ? pairs : {}), missed };
}

function orderNames() {
  const query = 'As given';
  if (!judged) return several ? { a: 'Most different first', query } : { query };
  const pairs = { b: `${nameB()} ahead first`, a: `${nameA()} ahead first` };
  return { ...(several ? pairs : {}), hard: 'Hardest first', query };
}

function orders(kind) {
  const by = { a: (query) => -gapOf(query), b: gapOf, hard: hardness }[kind];
  if (!by) return () => 0;
  // Queries without a value come last.
  const key = new Map(data.queries.map((query) => [query, gapOf(query) == null && kind !== 'hard' ? Infinity : by(query)]));
  return (one, two) => (key.get(one) === key.get(two) ? 0 : key.get(one) - key.get(two));
}

const haystacks = new Map();
function haystack(query) {
  if (!haystacks.has(query)) {
    const documents = new Set([...query.ranks.map(([at]) => at), ...query.hits.flat().map(([at]) => at)]);
    const ids = [...documents].map((at) => data.documents[at][0]);
    haystacks.set(query, `${query.id}\n${query.text}\n${ids.join('\n')}`.toLowerCase());
  }
  return haystacks.get(query);
}

function chosen() {
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  return data.queries
    .filter((query) => filters[state.quick](query) && words.every((word) => haystack(query).includes(word)))
    .sort(orders(state.order));
}

function options(select, names, value) {
  const entries = Object.entries(names);
  const kept = names[value] == null ? entries[0][0] : value;
  select.replaceChildren(...entries.map(([key, name]) => make('option', { value: key }, name)));
  select.value = kept;
  return kept;
}

function drawControls() {
  const systems = Object.fromEntries(data.systems.map((system, at) => [at, system.name]));
  options($('a'), systems, state.a);
  options($('b'), systems, state.b);
  if (judged) options($('measure'), Object.fromEntries(data.measures.entries()), state.measure);
  state.order = options($('order'), orderNames(), state.order);
  $('a').parentElement.hidden = $('b').parentElement.hidden = !several;
  $('measure').parentElement.hidden = !judged;
  const names = filterNames();
  if (!names[state.quick]) state.quick = 'all';
  $('quick').replaceChildren(...Object.entries(names).map(([key, name]) => {
    const count = data.queries.filter(filters[key]).length;
    return make('button', { type: 'button', 'data-quick': key, 'aria-pressed': String(key === state.quick) }, `${name} (${count})`);
  }));
}

function drawBars() {
  const gaps = data.queries.map((query) => [query, gapOf(query)]).filter(([, gap]) => gap != null);
  $('compared').hidden = !(judged && several && state.a !== state.b && gaps.length);
  if ($('compared').hidden) return;
  const measure = data.measures[state.measure];
  gaps.sort((one, two) => two[1] - one[1]);
  $('differences-title').textContent = `${measure}: ${nameA()} minus ${nameB()}, query by query`;
  drawDifferences($('bars'), gaps, nameA(), nameB(), measure, goTo);
  $('scatter-title').textContent = `${measure}: ${nameB()} against ${nameA()}`;
  const pairs = gaps.map(([query]) => [query, valueOf(query, state.a), valueOf(query, state.b)]);
  drawScatter($('points'), pairs, nameA(), nameB(), measure, goTo);
}

function valuesOf(query) {
  const gap = gapOf(query);
  if (!judged) {
    return several ? [make('span', {}, `overlap of ${nameA()} and ${nameB()} ${number(1 - gap, 2)}`)] : [];
  }
  return [
    query.missed && make('span', { class: 'check' }, 'no system found it: check the label'),
    several && gap != null && state.a !== state.b && make('span', { class: 'chosen' }, `difference ${signed(gap, 3)}`),
    data.systems.map((system, at) => make('span',
      at === state.a || at === state.b ? { class: 'chosen' } : {},
      `${system.name} ${number(valueOf(query, at), 3)}`)),
  ];
}

function item(query) {
  const details = make('details', { class: 'query', 'data-id': query.id },
    make('summary', {},
      thumbnail(query.image),
      make('span', { class: 'text' }, query.text),
      make('span', { class: 'values' }, make('span', {}, query.id), valuesOf(query))));
  details.addEventListener('toggle', () => {
    if (details.open && details.children.length === 1) fill(details, query);
  });
  return make('li', {}, details);
}

function fill(details, query) {
  while (details.children.length > 1) details.lastChild.remove();
  details.append(openedQuery(query, state.a, state.b, state.all, (all) => {
    state.all = all;
    for (const open of document.querySelectorAll('.query[open]')) fill(open, byId.get(open.dataset.id));
    details.querySelector('.all').focus();
  }));
}

function drawList() {
  const open = new Set([...document.querySelectorAll('.query[open]')].map((one) => one.dataset.id));
  const queries = chosen();
  const shown = queries.slice(0, state.limit);
  $('queries').replaceChildren(...shown.map(item));
  for (const details of $('queries').querySelectorAll('.query')) {
    if (open.has(details.dataset.id)) details.open = true;
  }
  $('more').hidden = shown.length === queries.length;
  $('shown').textContent = queries.length
    ? `${queries.length} of ${data.queries.length} queries`
    : 'No query matches. Clear the filter to see all.';
}

function redraw() {
  drawControls();
  drawBars();
  drawList();
}

function goTo(query) {
  if (!chosen().includes(query)) {
    Object.assign(state, { quick: 'all', words: '' });
    $('filter').value = '';
    drawControls();
  }
  state.limit = Math.max(state.limit, chosen().indexOf(query) + 1);
  drawList();
  const details = [...$('queries').querySelectorAll('.query')].find((one) => one.dataset.id === query.id);
  details.open = true;
  fill(details, query);
  details.scrollIntoView({ block: 'start' });
  details.firstChild.focus({ preventScroll: true });
}

function followLink() {
  if (!location.hash.startsWith('#q=')) return;
  let id = location.hash.slice(3);
  try { id = decodeURIComponent(id); } catch { /* an invalid encoding is the id itself */ }
  if (byId.has(id)) goTo(byId.get(id));
}

function onKey(event) {
  const details = event.target.closest('.query');
  if (!details) return;
  if (event.key === 'Escape' && details.open) {
    details.open = false;
    details.firstChild.focus();
  }
  if (event.target !== details.firstChild) return;
  const all = [...$('queries').querySelectorAll('summary')];
  const at = all.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || !all[to]) return;
  event.preventDefault();
  all[to].focus();
}

const prefersDark = matchMedia('(prefers-color-scheme: dark)');

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === 'dark' : prefersDark.matches;
}

function nameTheme() {
  $('theme').textContent = isDark() ? 'Light' : 'Dark';
}

function onTheme() {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
  nameTheme();
}

function start() {
  $('theme').hidden = false;
  nameTheme();
  document.querySelectorAll('main .scroll').forEach(offerTable);
  prefersDark.addEventListener('change', nameTheme);
  $('theme').addEventListener('click', onTheme);
  if (!data.queries.length || !data.systems.length) return;
  $('app').hidden = false;
  for (const name of ['a', 'b', 'measure']) {
    $(name).addEventListener('change', () => { state[name] = Number($(name).value); redraw(); });
  }
  $('order').addEventListener('change', () => { state.order = $('order').value; drawList(); });
  $('filter').addEventListener('input', () => {
    Object.assign(state, { words: $('filter').value, limit: PAGE });
    drawList();
  });
  $('controls').addEventListener('submit', (event) => event.preventDefault());
  $('quick').addEventListener('click', (event) => {
    const quick = event.target.dataset.quick;
    if (!quick) return;
    Object.assign(state, { quick, limit: PAGE });
    drawControls();
    $('quick').querySelector(`[data-quick="${quick}"]`).focus();
    drawList();
  });
  $('more').addEventListener('click', () => { state.limit += PAGE; drawList(); });
  $('queries').addEventListener('keydown', onKey);
  addEventListener('hashchange', followLink);
  let width = 0;
  new ResizeObserver(() => {
    if ($('bars').clientWidth === width) return;
    width = $('bars').clientWidth;
    drawBars();
  }).observe($('app'));
  redraw();
  followLink();
}

start();
