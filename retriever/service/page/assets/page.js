// On every page: the theme, which a browser keeps.
'use strict';
(() => {
  const root = document.documentElement;
  const button = document.getElementById('theme');
  const prefersDark = matchMedia('(prefers-color-scheme: dark)');

  function kept() {
    try { return localStorage.getItem('theme'); } catch { return null; }
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === 'dark' : prefersDark.matches;
  }

  function nameTheme() {
    button.textContent = isDark() ? 'Light' : 'Dark';
  }

  if (['light', 'dark'].includes(kept())) root.dataset.theme = kept();
  button.hidden = false;
  nameTheme();
  prefersDark.addEventListener('change', nameTheme);
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    try { localStorage.setItem('theme', root.dataset.theme); } catch { /* it lasts for this page */ }
    nameTheme();
  });
})();
