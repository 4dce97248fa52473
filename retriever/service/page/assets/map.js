// The map page: the document under the pointer is shown in both maps, with its title.
'use strict';
(() => {
  const data = document.getElementById('documents');
  if (!data) return;
  const documents = JSON.parse(data.textContent);
  const said = document.getElementById('said');
  const library = new URLSearchParams(location.search).get('library') || '';
  const maps = [...document.querySelectorAll('svg.map')].map((svg) => ({
    svg,
    cursor: svg.querySelector('.cursor'),
    points: [...svg.querySelectorAll('[data-n]')].map((circle) => ({
      n: Number(circle.dataset.n), x: circle.cx.baseVal.value, y: circle.cy.baseVal.value,
    })),
  }));
  const NEAR = 24;
  let current = null;

  function show(n) {
    if (n === current) return;
    current = n;
    for (const { cursor, points } of maps) {
      const at = n === null ? null : points.find((point) => point.n === n);
      cursor.setAttribute('cx', at ? at.x : -20);
      cursor.setAttribute('cy', at ? at.y : -20);
    }
    if (n === null) return;
    const [id, label] = documents[n];
    const link = document.createElement('a');
    link.href = `/page/document?${new URLSearchParams(library ? { library, id } : { id })}`;
    link.textContent = label;
    const small = document.createElement('span');
    small.className = 'remark';
    small.textContent = label === id ? '' : ` ${id}`;
    said.replaceChildren(link, small);
  }

  function nearest(map, x, y, most = Infinity) {
    let best = null;
    let distance = most * most;
    for (const point of map.points) {
      const away = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (away < distance) [best, distance] = [point, away];
    }
    return best;
  }

  // The next point in a direction: near, and not far off to the sides.
  function towards(map, from, dx, dy) {
    let best = null;
    let least = Infinity;
    for (const point of map.points) {
      const along = (point.x - from.x) * dx + (point.y - from.y) * dy;
      const aside = Math.abs((point.x - from.x) * dy) + Math.abs((point.y - from.y) * dx);
      if (along <= 0.05 || point.n === from.n) continue;
      if (along + 2 * aside < least) [best, least] = [point, along + 2 * aside];
    }
    return best;
  }

  for (const map of maps) {
    const { svg } = map;
    const place = (event) => {
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    };
    const point = (event) => {
      const near = nearest(map, ...place(event), NEAR);
      if (near) show(near.n);
    };
    svg.addEventListener('pointermove', point);
    svg.addEventListener('pointerdown', point);
    svg.addEventListener('focusin', (event) => {
      const ring = event.target.querySelector('.ring');
      if (event.target !== svg && ring) show(Number(ring.dataset.n));
    });
    svg.addEventListener('keydown', (event) => {
      const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const middle = svg.viewBox.baseVal.width / 2;
      const from = map.points.find((one) => one.n === current);
      const next = from ? towards(map, from, ...step) : nearest(map, middle, middle);
      if (next) show(next.n);
    });
    svg.addEventListener('keyup', (event) => {
      if (event.key === 'Enter' && event.target === svg && current !== null) said.querySelector('a').click();
    });
  }
})();
