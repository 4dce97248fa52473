// Details of a query: unknown words, ranks of the relevant documents, hits.

const LONGEST_TITLE = 70;

function openedQuery(query, a, b, all, showAll) {
  const chosen = all ? data.systems.map((_, at) => at) : [...new Set([a, b])];
  const toggle = data.systems.length > chosen.length || all
    ? make('button', { type: 'button', class: 'all', 'aria-pressed': String(all) },
      all ? `Only ${[...new Set([a, b])].map((s) => data.systems[s].name).join(' and ')}` : `All ${data.systems.length} systems`)
    : false;
  if (toggle) toggle.addEventListener('click', () => showAll(!all));
  return make('div', { class: 'inside' },
    query.unknown.map(([name, words]) =>
      make('p', { class: 'unknown' }, make('b', {}, name), ` does not know: ${words.join(', ')}`)),
    query.ranks.length > 0 && ranksTable(query),
    make('div', { class: 'tools' }, toggle,
      make('a', { href: `#q=${encodeURIComponent(query.id)}` }, `Link to query ${query.id}`)),
    make('div', { class: 'columns' }, chosen.map((system) => hitsOf(query, system, a, b))));
}

function ranksTable(query) {
  const caption = 'Ranks of the relevant documents; - is not found';
  return make('div', {}, make('h4', {}, caption), make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    make('table', { 'aria-label': caption },
      make('thead', {}, make('tr', {}, make('td'),
        make('th', { scope: 'col' }, make('span', {}, 'Grade')),
        data.systems.map((system) => make('th', { scope: 'col' }, make('span', {}, system.name))))),
      make('tbody', {}, query.ranks.map(([document_, grade, ranks]) => {
        const best = Math.min(...ranks.map((rank) => rank ?? Infinity));
        return make('tr', {},
          make('th', { scope: 'row' }, make('span', {}, nameOf(document_))),
          make('td', {}, String(grade)),
          ranks.map((rank) =>
            make('td', rank === best ? { class: 'first' } : {}, rank == null ? '-' : String(rank))));
      })))));
}

function nameOf(at) {
  const [id, title] = data.documents[at];
  if (!title) return id;
  return `${title.length > LONGEST_TITLE ? `${title.slice(0, LONGEST_TITLE)}…` : title} (${id})`;
}

function hitsOf(query, system, a, b) {
  const grades = new Map(query.ranks.map(([at, grade]) => [at, grade]));
  const other = system === a ? b : a;
  const elsewhere = new Map(query.hits[other].map(([at], rank) => [at, rank + 1]));
  const words = wordsOf(query);
  const hits = query.hits[system];
  return make('div', { role: 'group', 'aria-label': `Hits of ${data.systems[system].name}`, class: 'column' },
    make('h4', {}, data.systems[system].name),
    hits.length === 0 && make('p', { class: 'remark' }, 'No hits.'),
    make('ol', { class: 'hits' }, hits.map(([at, score], rank) => {
      const [id, title, text] = data.documents[at];
      const grade = grades.get(at);
      return make('li', grade ? { class: 'relevant' } : {},
        make('span', { class: 'rank' }, String(rank + 1)),
        make('div', {},
          thumbnail(data.images[at]),
          title && make('p', { class: 'title' }, marked(title, words)),
          text && make('p', { class: 'excerpt' }, marked(text, words)),
          make('p', { class: 'facts-of' },
            grade && make('span', { class: 'grade' }, `relevant, grade ${grade}`),
            make('span', {}, id),
            make('span', {}, `score ${number(score, 3)}`),
            other !== system && make('span', {}, elsewhere.has(at)
              ? `rank ${elsewhere.get(at)} in ${data.systems[other].name}`
              : `not in ${data.systems[other].name}`))));
    })));
}

const UNSPACED = '[\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Hangul}' +
  '\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}\\p{Script=Tibetan}]';
const BEGINS_UNSPACED = new RegExp(`^${UNSPACED}`, 'u');
const ENDS_UNSPACED = new RegExp(`${UNSPACED}\\p{M}*$`, 'u');

// Matches complete words in any case, and any part of a script without spaces; null for none.
function wordsOf(query) {
  if (query.matched.length === 0) return null;
  const escaped = [...query.matched]
    .sort((one, two) => two.length - one.length)
    .map((word) => {
      const open = BEGINS_UNSPACED.test(word) ? '' : '(?<![\\p{L}\\p{M}\\p{N}])';
      const close = ENDS_UNSPACED.test(word) ? '' : '(?![\\p{L}\\p{M}\\p{N}])';
      return open + word.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&') + close;
    });
  return new RegExp(escaped.join('|'), 'giu');
}

function marked(text, words) {
  if (words === null) return [text];
  const parts = [];
  let last = 0;
  for (const match of text.matchAll(words)) {
    parts.push(text.slice(last, match.index), make('mark', {}, match[0]));
    last = match.index + match[0].length;
  }
  return [...parts, text.slice(last)];
}
