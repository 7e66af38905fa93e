import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from './service-process.ts'

/** A redis-server on a port of its own, which keeps nothing and ends with the test. Rejects if there is none to start. */
export async function startRedis(t: Test) {
  const port = await freePort()
  let server: ChildProcess

  async function start(): Promise<void> {
    const options = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', '/']
    server = spawn('redis-server', options, { stdio: 'ignore' })
    const ended = once(server, 'exit').then(([code]) => Promise.reject(new Error(`redis-server ended with ${code}`)))
    ended.catch(() => {})
    while (!(await Promise.race([answers(port), ended]))) await delay(20)
  }

  async function kill(): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return
    const exited = once(server, 'exit')
    server.kill('SIGKILL')
    await exited
  }

  t.teardown(kill)
  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    kill,
    /** Starts it again after `kill`. */
    restart: start,
    /** It keeps its connections, and answers nothing until `thaw`. */
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
  return new Promise((resolve) => {
    socket.on('data', (data) => {
      socket.destroy()
      resolve(String(data).startsWith('+PONG'))
    })
    socket.on('error', () => resolve(false))
  })
}
