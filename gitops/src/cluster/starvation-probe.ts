/** Prints a line for each second in which this process was late. starvation.ts starts it with the share of one pod. */
import { monitorEventLoopDelay } from 'node:perf_hooks'

const resolution = 10
/** Milliseconds, on average and at once. The API refuses requests from 200 on average; a probe waits for 2,000. */
const mostLate = { mean: 100, max: 1000 }

const delay = monitorEventLoopDelay({ resolution })
delay.enable()
setInterval(() => {
  const [mean, max] = [delay.mean, delay.max].map((late) => Math.round(late / 1e6 - resolution)) as [number, number]
  delay.reset()
  // The mean is not a number if it did not run at all.
  if (!(mean <= mostLate.mean && max <= mostLate.max)) {
    console.log(`${new Date().toISOString()} ${mean} ms late, at most ${max} ms`)
  }
}, 1000)
