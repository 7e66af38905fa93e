import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { environment, type Identity } from './binaries.ts'

// PostgreSQL must end with this process even after kill -9: a shell holds a socket whose other end lives here, stops
// its child when that end closes, and tells the child's exit code through it. A shutdown that takes over 4 s (slow disk)
// becomes an immediate one, which loses nothing: the next start replays the log. A child that ends at once may say so
// (USR2) before the clock's number is known, so `ended` is asked again after that.
// The shell leaves the tree of processes, which task runners end as a whole: a PostgreSQL whose checkpointer is signalled
// takes it for a crash, and starts all over before it stops.
const watchdog = `
signal=$1 remove=$2; shift 2
trap '' TERM INT HUP
trap 'stopped=1' USR1
"$@" </dev/null 3>&- & child=$!
(
  read -r _ <&3; exec 3>&-
  kill -USR1 $$; kill -$signal $child
  trap 'ended=1; [ "$clock" ] && kill -KILL $clock && wait $clock' USR2
  sleep 4 & clock=$!
  [ "$ended" ] && kill -KILL $clock
  wait $clock
  [ "$ended" ] || kill -QUIT $child
) >/dev/null 2>&1 & watcher=$!
wait $child; code=$?
if [ "$stopped" ]; then
  wait $child; code=$?
  [ "$remove" ] && rm -rf "$remove"
fi
kill -USR2 $watcher 2>/dev/null; wait $watcher 2>/dev/null
echo $code >&3`
// What is started in the background of a shell that ends has no parent here.
const launch = 'watchdog=$1; shift; /bin/sh -c "$watchdog" sh "$@" &'

export interface GuardedProcess {
  /** Settles with the program's exit code when it has ended, -1 if it could not be started; never rejects. */
  exited: Promise<number>
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
  signal?: 'INT' | 'QUIT' | 'KILL'
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
  const child = spawn('/bin/sh', ['-c', launch, 'sh', watchdog, ...args], {
    cwd: '/',
    detached: true,
    env: environment,
    stdio: ['ignore', options.output, options.output, 'pipe'], // not stdin, which Node closes when the shell ends
    ...(prefix.length === 0 && uid && gid ? { uid, gid } : {}),
  })
  const leash = child.stdio[3] as Socket
  leash.on('error', () => {})
  let running = true
  const exited = Promise.race([once(child, 'error'), text(leash).catch(() => '')]).then((told) => {
    running = false
    return typeof told === 'string' && told !== '' ? Number(told) : -1
  })
  const stop = async () => {
    leash.end()
    await exited
  }
  const unref = () => {
    child.unref()
    leash.unref()
  }
  return { child, exited, running: () => running, stop, unref }
}
