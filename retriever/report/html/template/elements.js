// The page's data, and helpers that build elements without parsing markup.

const data = JSON.parse(document.getElementById('data').textContent);
const judged = data.judged;
const byId = new Map(data.queries.map((query) => [query.id, query]));

const $ = (id) => document.getElementById(id);

// Builds an element with attributes and children; strings become text nodes, false is skipped.
function make(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function draw(name, attributes, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children.flat(Infinity).filter((child) => child !== false && child != null));
  return element;
}

// An image; one that cannot be shown is a box with its words. False without an image.
function thumbnail(image) {
  if (!image) return false;
  const [alt, src, width, height] = image;
  return src
    ? make('img', { class: 'thumbnail', src, alt, width, height })
    : make('span', { class: 'thumbnail missing', role: 'img', 'aria-label': alt }, alt);
}

function number(value, places) {
  return value == null ? '-' : value.toFixed(places);
}

function signed(value, places) {
  const text = Math.abs(value).toFixed(places);
  if (Number(text) === 0) return text;
  return (value < 0 ? '\u2212' : '+') + text;
}
