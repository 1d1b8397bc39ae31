// Builds elements from plain data; text is only ever set as text, never parsed as markup.

/** `h('p', { class: 'x', onclick: f, data: { id: 1 } }, 'text', child)`; null, undefined and false are left out. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') element.className = value;
    else if (name === 'value') element.value = value;
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...present(children));
  return element;
}

/** Replaces everything inside `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

function present(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}

/** Makes `container` show `rows` in order, and keeps every element whose key and signature did not change. */
export function reconcile(container, rows) {
  const previous = new Map([...container.children].map((element) => [element.rowKey, element]));
  let next = container.firstElementChild;
  for (const row of rows) {
    let element = previous.get(row.key);
    previous.delete(row.key);
    if (!element || element.rowSignature !== row.signature) {
      const fresh = row.render();
      fresh.rowKey = row.key;
      fresh.rowSignature = row.signature;
      if (element) {
        if (element === next) next = fresh;
        const refocus = element.contains(document.activeElement) && document.activeElement.className;
        element.replaceWith(fresh);
        if (refocus) fresh.querySelector(`.${CSS.escape(refocus.split(' ')[0])}`)?.focus();
      }
      element = fresh;
    }
    if (element === next) next = next.nextElementSibling;
    else container.insertBefore(element, next);
  }
  for (const gone of previous.values()) gone.remove();
}

/**
 * Whether this key still belongs to the input method. Safari ends a composition first and sends its Enter then, with
 * the key code of a key that the input method took.
 */
export function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}

/** A short note that disappears by itself. */
export function toast(text) {
  const box = document.getElementById('toasts');
  const note = h('div', { class: 'toast' }, text);
  box.append(note);
  while (box.children.length > 3) box.firstElementChild.remove();
  setTimeout(() => note.remove(), 5000);
}

/** Opens `<dialog class="sheet">` with the given children and forgets it once closed. */
export function openDialog(label, ...children) {
  const dialog = h('dialog', { class: 'sheet', 'aria-label': label }, ...children);
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
