/** Publish and subscribe within this process: that something changed, never what it is now. */
import { EventEmitter } from "node:events";

export type Bus = ReturnType<typeof createBus>;
/** A run, a user, all of the host, a run's end. */
type Topic = `run:${string}` | `user:${string}` | "host" | "ended";

/** Tells that something changed; what it is now is read from its owner. */
export function createBus() {
  const emitter = new EventEmitter().setMaxListeners(0);
  const emit = (...topics: Topic[]): void => topics.forEach((topic) => void emitter.emit(topic));
  return {
    emit,
    /** Of a run: to its readers, its user and the host's reports. */
    emitRun: ({ id, userId }: { id: string; userId: string }): void => emit(`run:${id}`, `user:${userId}`, "host"),
    /** Calls on each change until the returned function is called. */
    on(topic: Topic, onChange: () => void): () => void {
      emitter.on(topic, onChange);
      return () => void emitter.off(topic, onChange);
    },
  };
}
