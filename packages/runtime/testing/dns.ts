import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * What a name answers the first time, the second time, and so on; the last answer is for ever. An entry that is no
 * address is a CNAME.
 */
export type Zone = Record<string, string[][]>

const types = { A: 1, CNAME: 5, AAAA: 28 }
const nameError = 3

/** Starts a name server on loopback, with a resolver that asks no other. Nothing may be cached: every TTL is 0. */
export async function startDns(zone: Zone) {
  const asked = new Map<string, number>()
  const socket = createSocket('udp4')
  socket.on('message', (query, { address, port }) => socket.send(answer(query), port, address))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const resolver = new Resolver({ timeout: 1000, tries: 2 })
  resolver.setServers([`127.0.0.1:${socket.address().port}`])

  function answer(query: Buffer): Buffer {
    const { name, type, end } = readQuestion(query)
    const nth = asked.get(`${name} ${type}`) ?? 0
    asked.set(`${name} ${type}`, nth + 1)
    const records = recordsOf(name, type, nth)
    const header = Buffer.alloc(12)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(0x8580 | (name in zone ? 0 : nameError), 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(records.length, 6)
    return Buffer.concat([header, query.subarray(12, end), ...records])
  }

  function recordsOf(name: string, type: number, nth: number): Buffer[] {
    const answers = zone[name] ?? []
    return (answers[nth] ?? answers.at(-1) ?? []).flatMap((entry) => {
      const family = isIP(entry)
      if (family === 0) return [record(name, types.CNAME, encodeName(entry)), ...recordsOf(entry, type, nth)]
      const own = family === 4 ? types.A : types.AAAA
      return own === type ? [record(name, own, Buffer.from(ipaddr.parse(entry).toByteArray()))] : []
    })
  }

  return {
    resolver,
    /** How often the IPv4 addresses of a name were asked for. */
    asked: (name: string) => asked.get(`${name} ${types.A}`) ?? 0,
    close: () => socket.close(),
  }
}

function readQuestion(query: Buffer) {
  const labels: string[] = []
  let at = 12
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function record(name: string, type: number, data: Buffer): Buffer {
  const rest = Buffer.alloc(10)
  rest.writeUInt16BE(type, 0)
  rest.writeUInt16BE(1, 2)
  rest.writeUInt16BE(data.length, 8)
  return Buffer.concat([encodeName(name), rest, data])
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  return Buffer.concat([...labels, Buffer.alloc(1)])
}
