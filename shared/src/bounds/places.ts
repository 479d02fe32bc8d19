/**
 * Shares places among users (dynamic threshold): each may have as many as are free, so that one alone never takes all, and
 * however many take what they can, there are some for the next. None more than `most` of them.
 */
export type Places = ReturnType<typeof createPlaces>;

export function createPlaces(total: number, most = total) {
  const taken = new Map<string, number>();
  let all = 0;
  return {
    /** Takes a place; the answer gives it back, null is none. */
    take(userId: string): (() => void) | null {
      const mine = taken.get(userId) ?? 0;
      if (mine >= Math.min(most, total - all)) return null;
      taken.set(userId, mine + 1);
      all += 1;
      return () => {
        all -= 1;
        const left = taken.get(userId)! - 1;
        if (left > 0) taken.set(userId, left);
        else taken.delete(userId);
      };
    },
  };
}
