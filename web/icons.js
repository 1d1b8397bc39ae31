// The page's icons, drawn as stroked SVG paths on a 24 by 24 grid.

/** The logo's address, with the same version as this file. */
export const LOGO = new URL('logo.svg', import.meta.url).pathname;

const SVG = 'http://www.w3.org/2000/svg';

const PATHS = {
  bell: ['M6 16V11a6 6 0 0 1 12 0v5l2 2H4z', 'M10 21h4'],
  block: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z', 'M5.7 5.7l12.6 12.6'],
  back: ['M15 5l-7 7 7 7'],
  chats: ['M4 5h16v11H9l-5 4z'],
  check: ['M5 12.5l4.5 4.5L19 7.5'],
  checks: ['M2 12.5l4.5 4.5L15 7.5', 'M11.5 16l1 1L22 7.5'],
  clock: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z', 'M12 7.5V12l3 2'],
  close: ['M6 6l12 12', 'M18 6L6 18'],
  copy: ['M9 9h11v11H9z', 'M5 15H4V4h11v1'],
  down: ['M12 5v14', 'M6 13l6 6 6-6'],
  edit: ['M4 20l1-4L16 5l3 3L8 19z', 'M14 7l3 3'],
  feed: ['M4 5h16v6H4z', 'M4 15h16', 'M4 19h10'],
  eye: ['M2 12s3.5-7 10-7 10 7 10 7-3.5 7-10 7-10-7-10-7z', 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z'],
  gear: ['M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z', 'M12 2.8v2.7', 'M12 18.5v2.7', 'M2.8 12h2.7', 'M18.5 12h2.7', 'M5.5 5.5l1.9 1.9', 'M16.6 16.6l1.9 1.9', 'M18.5 5.5l-1.9 1.9', 'M7.4 16.6l-1.9 1.9'],
  document: ['M6 3h8l4 4v14H6z', 'M14 3v4h4', 'M9 12h6', 'M9 16h6'],
  download: ['M12 4v11', 'M8 11.5l4 3.5 4-3.5', 'M5 19h14'],
  globe: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z', 'M3 12h18', 'M12 3c3 3 3 15 0 18', 'M12 3c-3 3-3 15 0 18'],
  group: ['M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z', 'M2.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6', 'M16 5.3a3.5 3.5 0 0 1 0 6.4', 'M18 14.4c2.1.8 3.5 2.9 3.5 5.6'],
  heart: ['M12 20S4 15 4 9.5A4.3 4.3 0 0 1 12 7a4.3 4.3 0 0 1 8 2.5C20 15 12 20 12 20z'],
  leave: ['M14 4H5v16h9', 'M10 12h11', 'M17 8l4 4-4 4'],
  link: ['M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1.2 1.2', 'M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1.2-1.2'],
  lock: ['M6 11h12v9H6z', 'M8.5 11V8a3.5 3.5 0 0 1 7 0v3'],
  muted: ['M6 16V11a6 6 0 0 1 9-5.2', 'M18 11v5l2 2H8', 'M10 21h4', 'M4 4l16 16'],
  mic: ['M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3z', 'M5.5 11a6.5 6.5 0 0 0 13 0', 'M12 17.5V21'],
  more: ['M5 12h.01', 'M12 12h.01', 'M19 12h.01'],
  clip: ['M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.5 3.5 0 0 1 5 5l-8.5 8.5a1.8 1.8 0 0 1-2.5-2.5L15 7'],
  plus: ['M12 5v14', 'M5 12h14'],
  reply: ['M10 6L4 12l6 6', 'M4 12h9c4 0 7 2.5 7 7'],
  retry: ['M20 12a8 8 0 1 1-2.5-5.8', 'M20 3v5h-5'],
  picture: ['M4 5h16v14H4z', 'M4 16l5-5 4 4 3-3 4 4', 'M15.5 9h.01'],
  search: ['M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14z', 'M20.5 20.5L16 16'],
  send: ['M4 12L20 4l-5 16-4-7z', 'M11 13l9-9'],
  share: ['M12 15V4', 'M8 7.5L12 4l4 3.5', 'M6 11H5v9h14v-9h-1'],
  smile: ['M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z', 'M8 14c1 1.7 2.4 2.5 4 2.5s3-.8 4-2.5', 'M9 9.5h.01', 'M15 9.5h.01'],
  trash: ['M4 7h16', 'M9 7V4h6v3', 'M6 7l1 13h10l1-13'],
  warning: ['M12 4L2.5 20h19z', 'M12 10v4.5', 'M12 17.5h.01'],
};

/** A decorative icon: the control around it carries the label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d);
    svg.append(path);
  }
  return svg;
}
