// Tables that can be sorted by a column and copied as tab-separated text.

const UNITS = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };
const COPIED = 1500;

// What a cell says first: without the smaller note under it.
function said(cell) {
  const first = [...cell.childNodes].find((node) => node.textContent.trim());
  return first ? first.textContent.trim() : '';
}

// The first number of a text, with its unit; null if it starts with none.
function quantity(text) {
  const found = /^[<▲▼≈]?\s*([+\u2212-]?)([\d,]*\.?\d+)\s*([kMG]?B\b)?/.exec(text);
  if (!found) return null;
  const value = Number(found[2].replaceAll(',', '')) * (UNITS[found[3]] ?? 1);
  return found[1] && found[1] !== '+' ? -value : value;
}

// Unknown values come last in both directions.
function byColumn(at, down) {
  return (one, two) => {
    const [a, b] = [one, two].map((row) => said(row.cells[at]));
    const [x, y] = [a, b].map(quantity);
    if (x === null || y === null) {
      if (x !== y) return x === null ? 1 : -1;
      return down ? b.localeCompare(a) : a.localeCompare(b);
    }
    return down ? y - x : x - y;
  };
}

function offerTable(scroll) {
  const table = scroll.querySelector('table');
  const body = table.tBodies[0];
  const given = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  for (const [at, head] of heads.entries()) {
    const label = head.querySelector('span');
    if (!label || given.length < 2) continue;
    const button = make('button', { type: 'button', class: 'sort' }, ...label.childNodes);
    label.append(button);
    button.addEventListener('click', () => {
      const was = head.getAttribute('aria-sort');
      for (const other of heads) other.removeAttribute('aria-sort');
      // The largest first, then the smallest, then the order of the page.
      const next = { null: 'descending', descending: 'ascending' }[was];
      if (next) head.setAttribute('aria-sort', next);
      body.append(...(next ? [...given].sort(byColumn(at, next === 'descending')) : given));
    });
  }
  const copy = make('button', { type: 'button', class: 'copy' }, 'Copy table');
  copy.addEventListener('click', async () => {
    const rows = [...table.rows].map((row) => [...row.cells].map(said).join('\t'));
    await copyText(rows.join('\n'), copy);
    copy.textContent = 'Copied';
    setTimeout(() => { copy.textContent = 'Copy table'; }, COPIED);
  });
  scroll.after(copy);
}

async function copyText(text, beside) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a permission, a browser still copies what is selected.
    const area = make('textarea', { class: 'spoken', 'aria-hidden': 'true' }, text);
    beside.after(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    beside.focus();
  }
}
