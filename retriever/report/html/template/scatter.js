// Plot of all queries by the values of the two selected systems.

const SIDE = 320;
const SQUARE = { left: 40, right: 8, top: 26, bottom: 44 };
const LONGEST_NAME = 24;

// `pairs` are [query, value of A, value of B]; `open` is called with a query.
function drawScatter(place, pairs, a, b, measure, open) {
  const highest = Math.max(...pairs.flatMap(([, one, two]) => [one, two]), 1e-9);
  const reach = highest <= 1 ? 1 : highest;
  const across = (value) => SQUARE.left + (value / reach) * (SIDE - SQUARE.left - SQUARE.right);
  const up = (value) => SIDE - SQUARE.bottom - (value / reach) * (SIDE - SQUARE.top - SQUARE.bottom);
  const text = (words, x, y, anchor) => draw('text', { x, y, 'text-anchor': anchor }, words);
  const line = (x1, y1, x2, y2, kind) => draw('line', { x1, y1, x2, y2, class: kind });
  const short = (name) => (name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name);
  const places = new Map();
  for (const [query, one, two] of pairs) {
    const key = `${one.toFixed(3)} ${two.toFixed(3)}`;
    if (!places.has(key)) places.set(key, { one, two, queries: [] });
    places.get(key).queries.push(query);
  }
  const spots = [...places.values()].map(({ one, two, queries }) => {
    const kind = one > two ? 'spot' : one < two ? 'spot below' : 'spot equal';
    const many = queries.length > 1 ? ` and ${queries.length - 1} more` : '';
    return draw('circle', {
      cx: across(one), cy: up(two), r: Math.min(2.6 + Math.sqrt(queries.length), 12),
      class: kind, 'data-query': queries[0].id,
    }, draw('title', {}, `${queries[0].text.slice(0, 80)}${many}: ${one.toFixed(3)}, ${two.toFixed(3)}`));
  });
  const marks = [0, reach / 2, reach].map((value) => [
    line(across(value), up(0), across(value), up(reach), 'grid'),
    line(across(0), up(value), across(reach), up(value), 'grid'),
    text(number(value, 2), across(value), SIDE - SQUARE.bottom + 16, value === reach ? 'end' : 'middle'),
    text(number(value, 2), SQUARE.left - 6, up(value) + 4, 'end'),
  ]);
  const svg = draw('svg', {
    viewBox: `0 0 ${SIDE} ${SIDE}`, role: 'img', class: 'plot',
    'aria-labelledby': 'scatter-name', 'aria-describedby': 'scatter-said',
  },
  draw('title', { id: 'scatter-name' }, `${measure} of ${b} against that of ${a}, query by query`),
  draw('desc', { id: 'scatter-said' }, `${pairs.length} queries at ${places.size} places.`),
  marks,
  line(across(0), up(0), across(reach), up(reach), 'zero'),
  text(short(b), 2, 14, 'start'),
  text(short(a), across(reach), SIDE - 8, 'end'),
  spots);
  svg.addEventListener('click', (event) => {
    const id = event.target.getAttribute && event.target.getAttribute('data-query');
    if (id != null) open(byId.get(id));
  });
  place.replaceChildren(svg);
}
