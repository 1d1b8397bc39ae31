// English versions of the server's Spanish texts that a person can see here.

const TEXTS = {
  'Credenciales inválidas.': 'Wrong username or password.',
  'Esta cuenta está desactivada.': 'This account is disabled.',
  'El usuario está inactivo': 'This account is disabled.',
  'Este campo es requerido.': 'This field is required.',
  'Este campo no puede estar en blanco.': 'This field may not be blank.',
  'Ya existe Usuario con este Email.': 'Someone already uses this e-mail.',
  'Ya existe Usuario con este Nombre de usuario.': 'Someone already has this username.',
  'El username solo puede contener letras, números y guiones bajos': 'Only letters, digits and _ are allowed.',
  'El nombre de usuario debe tener al menos 3 caracteres.': 'At least 3 characters.',
  'El nombre para mostrar debe tener al menos 2 caracteres.': 'At least 2 characters.',
  'Asegúrese de que este campo tenga al menos 8 caracteres.': 'At least 8 characters.',
  'Esta contraseña es demasiado común.': 'This password is too common.',
  'Esta contraseña es completamente numérica.': 'A password may not be only digits.',
  'Usuario no encontrado': 'No such user.',
  'No puedes crear un chat contigo mismo': 'You cannot chat with yourself.',
  'No encontrado.': 'Not found.',
  'Usted no tiene permiso para realizar esta acción.': 'You are not allowed to do this.',
  'No eres participante de este chat': 'You are not in this chat.',
  'Token inválido': 'Your session is no longer valid.',
  'El mensaje no puede tener más de 2000 caracteres': 'A message may have at most 2000 characters.',
  'El mensaje no existe en este chat': 'This message is no longer in this chat.',
  'El servidor está ocupado, inténtalo de nuevo en unos segundos': 'The server is busy; try again in a few seconds.',
  'El servidor está ocupado. Inténtalo de nuevo en un momento.': 'The server is busy; try again in a moment.',
  'El servicio no está disponible en este momento, inténtalo de nuevo': 'The service is not available right now; try again.',
  'No se pudo guardar, inténtalo de nuevo': 'It could not be stored; try again.',
  'Error interno del servidor': 'The server failed.',
  'Cargue una imagen válida. El archivo que ha cargado o no es una imagen o está dañado.': 'This file is no photo, or it is damaged.',
  'El archivo no es un video válido.': 'This file is no video that can be sent.',
  'El archivo no es un audio válido.': 'This file is no audio that can be sent.',
  'Este tipo de archivo no se puede enviar, o su contenido no corresponde a su nombre. Ponlo en un archivo ZIP y envía ese.': 'This kind of file cannot be sent, or its content does not belong to its name. Put it into a ZIP file and send that.',
  'Esta publicación no permite comentarios.': 'This post takes no comments.',
  'No sigues a este usuario': 'You do not follow this person.',
  'No puedes seguirte a ti mismo': 'You cannot follow yourself.',
  'Ya son amigos': 'You are friends already.',
  'Ya existe una solicitud de amistad pendiente': 'There is a friend request already.',
  'Solicitud de amistad no encontrada': 'This friend request is no longer open.',
  'No puedes hacer esto: uno de los dos ha bloqueado al otro': 'You cannot do this: one of you has blocked the other.',
  'No puedes bloquearte a ti mismo': 'You cannot block yourself.',
  'No has bloqueado a este usuario': 'You have not blocked this person.',
  'Envía un archivo, o nada para quitar la imagen.': 'Send a file, or nothing to remove the picture.',
  'Notificación no encontrada': 'This notification is no longer there.',
};

/** Texts that contain a number. */
const PATTERNS = [
  [/^Solicitud fue regulada.* (\d+) segundos?\.$/, 'Too many attempts; try again in $1 s.'],
  [/^El archivo supera el máximo de (\d+) MB\.$/, 'The file is larger than $1 MB. Choose a smaller one.'],
  [/^Asegúrese de que este campo no tenga más de (\d+) caracteres\.$/, 'At most $1 characters.'],
];

/** The English text, or the text itself if there is none. */
export function inEnglish(text) {
  const pattern = PATTERNS.find(([spanish]) => spanish.test(text));
  return TEXTS[text] ?? (pattern ? text.replace(...pattern) : text);
}
