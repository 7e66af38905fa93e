/** A clock that stands still until it is moved, in milliseconds. */
export function createClock() {
  let time = 1000
  const pass = (ms: number) => {
    time += ms
  }
  return { now: () => time, pass }
}
