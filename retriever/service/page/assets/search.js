// The search page: results while typing, judgments without leaving, and keys. All of it works
// without this script, too, by forms and links; only searching by an image needs it.
'use strict';
(() => {
  const WAIT = 250;
  // Pixels of the longer side of an image that is sent: models see fewer.
  const SIDE = 1024;
  const form = document.getElementById('search');
  const query = document.getElementById('q');
  let results = document.getElementById('results');
  let timer = 0;
  let running = null;
  let shown = asked();
  // What is searched by in place of the text.
  let image = null;

  // The parameters of the form that say something.
  function asked() {
    const given = [...new FormData(form)].filter(([, value]) => value !== '');
    return new URLSearchParams(given).toString();
  }

  async function update() {
    clearTimeout(timer);
    const parameters = asked();
    if (parameters === shown) return;
    shown = parameters;
    await show(parameters);
  }

  async function show(parameters) {
    if (running) running.abort();
    running = new AbortController();
    results.setAttribute('aria-busy', 'true');
    try {
      const address = `/page/search?${parameters}`;
      const how = { signal: running.signal };
      if (image) Object.assign(how, { method: 'POST', body: image });
      const response = await fetch(`${address}&part=results`, how);
      const text = await response.text();
      // Nothing in it runs: a parsed document has no scripts of its own that are executed.
      const found = new DOMParser().parseFromString(text, 'text/html');
      const next = found.getElementById('results');
      if (!next) throw new Error('no results');
      results.replaceWith(document.adoptNode(next));
      results = next;
      history.replaceState(null, '', address);
      document.title = `${query.value || 'Search'} · ${results.dataset.library} · Retriever`;
    } catch (error) {
      // What cannot be had this way is asked for as without a script.
      if (error.name !== 'AbortError') form.submit();
    } finally {
      results.removeAttribute('aria-busy');
    }
  }

  async function searchBy(file) {
    if (!file) return;
    image = await smaller(file);
    query.value = '';
    shown = asked();
    await show(shown);
  }

  // A smaller copy; what is no image is sent as it is, and the answer says so.
  async function smaller(file) {
    try {
      const whole = await createImageBitmap(file);
      const share = Math.min(1, SIDE / Math.max(whole.width, whole.height));
      if (share === 1) return file;
      const copy = new OffscreenCanvas(Math.ceil(share * whole.width), Math.ceil(share * whole.height));
      copy.getContext('2d').drawImage(whole, 0, 0, copy.width, copy.height);
      return await copy.convertToBlob();
    } catch {
      return file;
    }
  }

  const imageOf = (from) => from && [...from.files].find((file) => file.type.startsWith('image/'));

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(update, WAIT);
  }

  async function judge(button) {
    const pressed = button.getAttribute('aria-pressed') === 'true';
    const grade = pressed ? '' : button.dataset.grade;
    const fields = new URLSearchParams(new FormData(button.form));
    fields.set('grade', grade);
    const response = await fetch('/page/judge', {
      method: 'POST', body: fields, headers: { Accept: 'application/json' },
    });
    if (!response.ok) {
      // The page that says why.
      button.dataset.sent = 'yes';
      button.form.requestSubmit(button);
      return;
    }
    const { judged } = await response.json();
    // A document that several indexes found has its buttons in each column.
    for (const hit of hits().filter((one) => one.dataset.doc === fields.get('doc'))) {
      hit.classList.toggle('relevant', grade === '1');
      for (const one of hit.querySelectorAll('.judge button')) {
        one.setAttribute('aria-pressed', String(one.dataset.grade === grade));
        one.value = one.dataset.grade === grade ? '' : one.dataset.grade;
      }
    }
    const count = results.querySelector('.keys a');
    if (count) count.textContent = `${judged} document${judged === 1 ? '' : 's'}`;
  }

  const hits = () => [...results.querySelectorAll('.hit')];
  const columns = () => [...results.querySelectorAll('.column')].map((one) => [...one.querySelectorAll('.hit')]);

  function go(hit) {
    if (!hit) return;
    hit.tabIndex = -1;
    hit.focus({ preventScroll: true });
    hit.scrollIntoView({ block: 'nearest' });
  }

  // The hit above, below or beside one; from nowhere the first.
  function beside(hit, key) {
    const all = columns().filter((one) => one.length);
    if (!hit) return all[0] && all[0][0];
    const column = all.findIndex((one) => one.includes(hit));
    const row = all[column].indexOf(hit);
    if (key === 'ArrowDown') return all[column][row + 1];
    if (key === 'ArrowUp') return all[column][row - 1];
    const other = all[column + (key === 'ArrowRight' ? 1 : -1)];
    return other && other[Math.min(row, other.length - 1)];
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest('input, select, textarea, summary');
    if (typing) {
      if (typing === query && event.key === 'ArrowDown') {
        event.preventDefault();
        go(beside(null));
      }
      return;
    }
    const hit = event.target.closest('.hit');
    if (event.key === '/') {
      event.preventDefault();
      query.focus();
      query.select();
    } else if (event.key.startsWith('Arrow')) {
      const next = beside(hit, event.key);
      if (next) {
        event.preventDefault();
        go(next);
      }
    } else if (hit) {
      const grade = { r: '1', n: '0', u: 'unsure' }[event.key.toLowerCase()];
      const button = grade && hit.querySelector(`.judge [data-grade="${grade}"]`);
      if (button) judge(button);
      else if (event.key.toLowerCase() === 'm') hit.querySelector('.like').click();
      else if (event.key === 'Enter' && event.target === hit) hit.querySelector('.title a').click();
    }
  }

  const chosen = document.getElementById('image');
  if (chosen) {
    chosen.closest('label').hidden = false;
    chosen.addEventListener('change', () => searchBy(chosen.files[0]));
    document.addEventListener('paste', (event) => searchBy(imageOf(event.clipboardData)));
    document.addEventListener('dragover', (event) => event.preventDefault());
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      searchBy(imageOf(event.dataTransfer));
    });
    query.addEventListener('input', () => {
      image = null;
      chosen.value = '';
    });
  }
  form.addEventListener('input', (event) => event.target !== chosen && soon());
  form.addEventListener('change', (event) => event.target !== chosen && update());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    update();
  });
  document.addEventListener('submit', (event) => {
    if (!event.target.matches('.judge') || !event.submitter || event.defaultPrevented) return;
    if (event.submitter.dataset.sent) return;
    event.preventDefault();
    judge(event.submitter);
  });
  document.addEventListener('keydown', onKey);
})();
