/** Publish and subscribe within this process: that something changed, never what it is now. */
import { EventEmitter } from "node:events";

/** Tells that something changed; what it is now is read from its owner. Topics: a run, a user, all of the host, a run's end. */
export interface Bus {
  emit(...topics: Topic[]): void;
  /** Calls on each change until the returned function is called. */
  on(topic: Topic, onChange: () => void): () => void;
}
export type Topic = `run:${string}` | `user:${string}` | "host" | "ended";

export function createBus(): Bus {
  const emitter = new EventEmitter().setMaxListeners(0);
  return {
    emit: (...topics) => topics.forEach((topic) => void emitter.emit(topic)),
    on(topic, onChange) {
      emitter.on(topic, onChange);
      return () => void emitter.off(topic, onChange);
    },
  };
}
