// Every word of the page in English and Spanish; the person's choice decides, else the browser's first language of the two.

import { FEED_TEXTS } from './feed_texts.js';
import { PAGE_TEXTS } from './page_texts.js';
import { chosenLanguage } from './prefs.js';
import { inEnglish } from './server_texts.js';

const TEXTS = {
  en: {
    tagline: 'Say it, and it is there.',
    pitch: 'Chat that arrives while you are still looking.',
    step1: 'Register here with any name.',
    step2: 'Open a second tab and register someone else.',
    step3: 'Search for one from the other, and say hello.',
    tabsNote: 'Each tab is its own session, so two tabs can be two people.',
    login: 'Log in', register: 'Create account', logout: 'Log out',
    loginField: 'Username or e-mail', password: 'Password', passwordHint: 'At least 8 characters, not only digits',
    showPassword: 'Show password', displayName: 'Your name', username: 'Username', email: 'E-mail',
    usernameHint: 'Letters, digits and _', usernameRule: '3 to 30 letters (a–z), digits or _',
    emailHint: 'Only to log in with; nothing is sent to it.',
    noAnswer: 'The server does not answer. Please try again.', failed: 'That did not work. Please try again.',
    sections: 'Sections', chats: 'Chats', searchPlaceholder: 'Search people or chats', people: 'People',
    nobodyFound: 'Nobody found for “{text}”', openWith: 'Open chat with @{name}', newGroup: 'New group',
    moreRooms: 'Show older chats', unread: '{n} unread', unsent: 'Not sent', you: 'You', noMessages: 'No messages yet',
    photo: 'Photo', video: 'Video', audio: 'Audio', file: 'File',
    emptyTitle: 'Nobody to talk to yet?', emptyRooms: 'Your chats will appear here.',
    empty1: 'Open a second tab: it starts signed out.', empty2: 'Register another user there.',
    empty3: 'Search for @{name} and say hello. It shows up here by itself.', openTab: 'Open a second tab',
    pickTitle: 'Pick a chat', pickText: 'Choose one on the left, or search for someone.',
    back: 'Back to the chats', messagesOf: 'Messages with {name}', write: 'Write a message', send: 'Send', attach: 'Attach photos, videos, audio or documents',
    removeFile: 'Remove file', wrongFile: 'This kind of file cannot be sent. Put it into a ZIP file and send that.',
    notTaken: 'It has {size} MB and at most {max} MB can be sent. Choose a smaller one.', fileEmpty: 'This file is empty. Choose another one.', noFolders: 'Folders cannot be sent. Put the folder into a ZIP file and send that.', download: 'Save {name}',
    live: 'Live', connecting: 'Connecting…', retryIn: 'Retry in {n} s', retryNow: 'Retry now', offline: 'Offline',
    tooFarBack: 'That message is too far back to be shown here.', closed: 'Closed', removed: 'You are no longer in this chat.', listOffline: 'The server does not answer; trying again.',
    online: 'In this chat', members: '{n} members', membersOnline: '{n} here now',
    typing1: '{a} is typing…', typing2: '{a} and {b} are typing…', typingMany: 'Several people are typing…',
    today: 'Today', yesterday: 'Yesterday', edited: 'edited', deletedText: 'Message deleted',
    sending: 'Sending', waitingToSend: 'Goes out once connected', notSent: 'Not sent', retry: 'Try again', discard: 'Discard', cancel: 'Cancel',
    unreadLine: 'Unread messages', sentTick: 'Sent', readTick: 'Read', readBy: 'Read by {n}',
    actions: 'Message actions', react: 'React', reply: 'Reply', copy: 'Copy text', edit: 'Edit', delete: 'Delete', copied: 'Copied',
    replyingTo: 'Replying to {name}', editing: 'Editing your message', saving: 'Saving…',
    deleteAsk: 'Delete this message for everyone?', groupName: 'Name of the group', groupMembers: 'Who is in it?', groupCount: 'At least two people. Chosen: {n}',
    create: 'Create', newBelow: 'New messages', toBottom: 'To the newest message', loadOlder: 'Loading older messages…', loadFailed: 'Could not load the messages.',
    tooLong: '{n} characters too many', left: '{n} left', editOffline: 'No connection: the edit stays here until it is back.',
    like: 'Like', love: 'Love', laugh: 'Laugh', wow: 'Wow', sad: 'Sad', angry: 'Angry', fire: 'Fire', golazo: 'Golazo',
    openImage: 'Open the photo', image: 'Photo from {name}', close: 'Close', start: 'This is the beginning. Say hello!',
    signedOut: 'Your session ended. Please log in again.',
  },
  es: {
    tagline: 'Lo dices, y ya está allí.',
    pitch: 'Un chat que llega mientras todavía estás mirando.',
    step1: 'Regístrate aquí con cualquier nombre.',
    step2: 'Abre otra pestaña y registra a otra persona.',
    step3: 'Busca a una desde la otra y salúdala.',
    tabsNote: 'Cada pestaña es una sesión propia: dos pestañas pueden ser dos personas.',
    login: 'Iniciar sesión', register: 'Crear cuenta', logout: 'Cerrar sesión',
    loginField: 'Usuario o correo', password: 'Contraseña', passwordHint: 'Al menos 8 caracteres, no solo números',
    showPassword: 'Mostrar contraseña', displayName: 'Tu nombre', username: 'Usuario', email: 'Correo',
    usernameHint: 'Letras, números y _', usernameRule: 'De 3 a 30 letras (a–z), números o _',
    emailHint: 'Solo para iniciar sesión; no se le envía nada.',
    noAnswer: 'El servidor no responde. Inténtalo de nuevo.', failed: 'No se pudo. Inténtalo de nuevo.',
    sections: 'Secciones', chats: 'Chats', searchPlaceholder: 'Buscar personas o chats', people: 'Personas',
    nobodyFound: 'Nadie encontrado para «{text}»', openWith: 'Abrir chat con @{name}', newGroup: 'Nuevo grupo',
    moreRooms: 'Ver chats anteriores', unread: '{n} sin leer', unsent: 'Sin enviar', you: 'Tú', noMessages: 'Aún no hay mensajes',
    photo: 'Foto', video: 'Vídeo', audio: 'Audio', file: 'Archivo',
    emptyTitle: '¿Aún sin nadie con quien hablar?', emptyRooms: 'Tus chats aparecerán aquí.',
    empty1: 'Abre otra pestaña: empieza sin sesión.', empty2: 'Registra allí a otra persona.',
    empty3: 'Busca a @{name} y saluda. Aparecerá aquí sin recargar.', openTab: 'Abrir otra pestaña',
    pickTitle: 'Elige un chat', pickText: 'Escoge uno a la izquierda o busca a alguien.',
    back: 'Volver a los chats', messagesOf: 'Mensajes con {name}', write: 'Escribe un mensaje', send: 'Enviar', attach: 'Adjuntar fotos, vídeos, audios o documentos',
    removeFile: 'Quitar archivo', wrongFile: 'Este tipo de archivo no se puede enviar. Ponlo en un archivo ZIP y envía ese.',
    notTaken: 'Tiene {size} MB y se pueden enviar hasta {max} MB. Elige uno más pequeño.', fileEmpty: 'Este archivo está vacío. Elige otro.', noFolders: 'No se pueden enviar carpetas. Pon la carpeta en un archivo ZIP y envía ese.', download: 'Guardar {name}',
    live: 'En vivo', connecting: 'Conectando…', retryIn: 'Reintento en {n} s', retryNow: 'Reintentar ya', offline: 'Sin conexión',
    tooFarBack: 'Ese mensaje es demasiado antiguo para mostrarlo aquí.', closed: 'Cerrado', removed: 'Ya no estás en este chat.', listOffline: 'El servidor no responde; se sigue intentando.',
    online: 'En este chat', members: '{n} miembros', membersOnline: '{n} aquí ahora',
    typing1: '{a} está escribiendo…', typing2: '{a} y {b} están escribiendo…', typingMany: 'Varias personas están escribiendo…',
    today: 'Hoy', yesterday: 'Ayer', edited: 'editado', deletedText: 'Mensaje eliminado',
    sending: 'Enviando', waitingToSend: 'Saldrá al conectar', notSent: 'No enviado', retry: 'Reintentar', discard: 'Descartar', cancel: 'Cancelar',
    unreadLine: 'Mensajes sin leer', sentTick: 'Enviado', readTick: 'Leído', readBy: 'Leído por {n}',
    actions: 'Acciones del mensaje', react: 'Reaccionar', reply: 'Responder', copy: 'Copiar texto', edit: 'Editar', delete: 'Eliminar', copied: 'Copiado',
    replyingTo: 'Respuesta a {name}', editing: 'Editando tu mensaje', saving: 'Guardando…',
    deleteAsk: '¿Eliminar este mensaje para todos?', groupName: 'Nombre del grupo', groupMembers: '¿Quiénes están?', groupCount: 'Al menos dos personas. Elegidas: {n}',
    create: 'Crear', newBelow: 'Mensajes nuevos', toBottom: 'Ir al último mensaje', loadOlder: 'Cargando mensajes anteriores…', loadFailed: 'No se pudieron cargar los mensajes.',
    tooLong: 'Sobran {n} caracteres', left: 'Quedan {n}', editOffline: 'Sin conexión: la edición espera aquí hasta que vuelva.',
    like: 'Me gusta', love: 'Me encanta', laugh: 'Risa', wow: 'Asombro', sad: 'Tristeza', angry: 'Enojo', fire: 'Fuego', golazo: 'Golazo',
    openImage: 'Abrir la foto', image: 'Foto de {name}', close: 'Cerrar', start: 'Este es el comienzo. ¡Saluda!',
    signedOut: 'Tu sesión terminó. Inicia sesión de nuevo.',
  },
};

export const LANGUAGES = { en: 'English', es: 'Español' };

export const language = pick([chosenLanguage(), ...(navigator.languages ?? [navigator.language])].filter(Boolean));

function pick(wanted) {
  const known = wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in TEXTS);
  return known ?? 'en';
}

/**
 * The text of a key, with its `{name}` places filled in. A user's text may run from right to left, so it stands between
 * U+2068 and U+2069, which keeps the order of the sentence around it.
 */
export function t(key, values = {}) {
  const filled = (name) => (typeof values[name] === 'string' ? `\u2068${values[name]}\u2069` : values[name]);
  return (TEXTS[language][key] ?? FEED_TEXTS[language][key] ?? PAGE_TEXTS[language][key]).replace(/\{(\w+)\}/g, (_, name) => filled(name));
}

/** The server's text, in the reader's language if it is known; `fallback` if there is none. */
export function serverText(text, fallback = t('failed')) {
  if (!text) return fallback;
  return language === 'en' ? inEnglish(text) : text;
}

/** The text for a failed call. */
export function errorText(error) {
  const isUnanswered = error.status === 0 || error.code === 'offline' || error instanceof TypeError;
  return isUnanswered ? t('noAnswer') : serverText(error.text ?? error.message);
}
