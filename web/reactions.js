// The reactions the server knows, in the order they are offered.

export const REACTIONS = {
  like: '👍', love: '❤️', laugh: '😂', wow: '😮', sad: '😢', angry: '😠', fire: '🔥', golazo: '⚽',
};
