import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { environment, type Identity } from './binaries.ts'

// PostgreSQL must end with this process even after kill -9: the shell holds a pipe whose other end lives here, and
// stops its child when the pipe closes. A shutdown that takes over 4 s (slow disk) becomes an immediate one, which
// loses nothing: the next start replays the log. A child that ends at once may say so (USR2) before the clock's number
// is known, so `ended` is asked again after that. Task runners that end a whole tree of processes signal the shell
// too; it ignores them, or nobody would be left to watch.
const watchdog = `
signal=$1 remove=$2; shift 2
trap '' TERM INT HUP
trap 'stopped=1' USR1
exec 3<&0
"$@" </dev/null 3<&- & child=$!
(
  read -r _ <&3; exec 3<&-
  kill -USR1 $$; kill -$signal $child
  trap 'ended=1; [ "$clock" ] && kill -KILL $clock && wait $clock' USR2
  sleep 4 & clock=$!
  [ "$ended" ] && kill -KILL $clock
  wait $clock
  [ "$ended" ] || kill -QUIT $child
) >/dev/null 2>&1 & watcher=$!
exec 3<&-
wait $child; code=$?
if [ "$stopped" ]; then
  wait $child; code=$?
  [ "$remove" ] && rm -rf "$remove"
fi
kill -USR2 $watcher 2>/dev/null; wait $watcher 2>/dev/null
exit $code`

export interface GuardedProcess {
  /** Settles when the program has ended; never rejects. */
  exited: Promise<void>
  /** False once `exited` has settled. */
  running(): boolean
  /** Asks the program to end and waits until it has. Safe to call twice. */
  stop(): Promise<void>
  /** Lets this process exit without waiting for the program, which then ends too. */
  unref(): void
  child: ChildProcess
}

export interface GuardOptions {
  output: number | 'pipe'
  /** Signal that asks the program to end. */
  signal?: 'INT' | 'QUIT'
  /** A folder to delete once the program was asked to end and has ended. */
  remove?: string
}

/** Starts a program that cannot outlive this process. It gets its own session, so Ctrl-C does not reach it. */
export function spawnGuarded(
  { prefix, uid, gid }: Omit<Identity, 'owner'>,
  command: string[],
  options: GuardOptions,
): GuardedProcess {
  const args = [options.signal ?? 'INT', options.remove ?? '', ...prefix, ...command]
  const child = spawn('/bin/sh', ['-c', watchdog, 'sh', ...args], {
    cwd: '/',
    detached: true,
    env: environment,
    stdio: ['pipe', options.output, options.output],
    ...(prefix.length === 0 && uid && gid ? { uid, gid } : {}),
  })
  child.stdin?.on('error', () => {})
  let running = true
  const exited = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('close', () => resolve())
  }).then(() => {
    running = false
  })
  const stop = () => {
    child.stdin?.end()
    return exited
  }
  const unref = () => {
    child.unref()
    ;(child.stdin as Socket | null)?.unref()
  }
  return { child, exited, running: () => running, stop, unref }
}
