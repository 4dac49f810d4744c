// Says what an answer lacks.

export function Silent({ edges }: { edges: string[] }) {
  if (edges.length === 0) return null;
  return (
    <p class="note warn" role="status">
      Incomplete: {edges.length === 1 ? 'edge' : 'edges'} <b>{edges.join(', ')}</b> did not answer.
    </p>
  );
}
