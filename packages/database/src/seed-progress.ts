type Output = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>

/** Shows how far a count has come: a bar in a terminal, a line every tenth elsewhere. */
export function createProgress(output: Output, total: number): (done: number) => void {
  let tenths = 0
  return (done) => {
    const share = done / total
    const figures = `${String(Math.floor(share * 100)).padStart(3)} % ${String(done).padStart(String(total).length)}/${total}`
    if (output.isTTY) {
      const width = Math.max(10, Math.min(40, (output.columns ?? 80) - figures.length - 4))
      const filled = Math.round(share * width)
      output.write(`\r[${'#'.repeat(filled)}${'-'.repeat(width - filled)}] ${figures}${done < total ? '' : '\n'}`)
    } else if (Math.floor(share * 10) > tenths) {
      tenths = Math.floor(share * 10)
      output.write(`${figures.trim()}\n`)
    }
  }
}
