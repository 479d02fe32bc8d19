/** A component that draws again only when its properties are not the same any more. */
import { Component, h, type FunctionComponent } from "preact";

export function memo<P extends object>(draw: FunctionComponent<P>, isSame: (before: P, after: P) => boolean) {
  return class extends Component<P> {
    override shouldComponentUpdate(after: P): boolean {
      return !isSame(this.props, after);
    }
    override render() {
      return h(draw, this.props as P & { children?: never });
    }
  };
}
