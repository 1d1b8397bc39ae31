'use client';
// Hooks and components for React.

export { ConnectionIndicator, Toasts } from './components.js';
export {
  type ChatOptions,
  type NotificationOptions,
  PregonProvider,
  useChatWebSocket,
  useClient,
  useConnection,
  useFeedWebSocket,
  useNotifications,
  usePostWebSocket,
  usePresence,
} from './hooks.js';
export { errorText, type Lang } from './texts.js';
