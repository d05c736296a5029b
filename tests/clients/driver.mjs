// Drive the real SDK: one JSON line in is one call, one JSON line out is what came of it. Nothing of the SDK is changed.
//
//   {"id": 1, "call": "computeStatus", "args": ["http://…", {"$wallet": true}, "0x…"]}
//   {"id": 1, "value": …}  or  {"id": 1, "error": "…"}; streams become {"$bytes": "<base64>"}
//
// Run with the folder it is installed in as working directory: node --input-type=module --eval "$(cat driver.mjs)"
import { createInterface } from 'node:readline'
import { ProviderInstance } from '@oceanprotocol/lib'
import * as lib from '@oceanprotocol/lib'
import { Wallet } from 'ethers'

for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = (...said) => process.stderr.write(said.join(' ') + '\n')

const wallet = new Wallet(process.env.CLIENT_KEY)
const open = new Map() // streams that are still read, by the id of the call that opened them

function given(value) {
  if (Array.isArray(value)) return value.map(given)
  if (value === null || typeof value !== 'object') return value
  if ('$wallet' in value) return wallet
  if ('$undefined' in value) return undefined
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, given(each)]))
}

async function* chunks(stream) {
  if (stream?.getReader) {
    const reader = stream.getReader()
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) yield Buffer.from(value)
  } else for await (const chunk of stream) yield Buffer.from(chunk)
}

const isStream = (value) => Boolean(value?.getReader || value?.[Symbol.asyncIterator])

async function all(stream) {
  const found = []
  for await (const chunk of chunks(stream)) found.push(chunk)
  return { $bytes: Buffer.concat(found).toString('base64') }
}

async function first(id, stream) {
  const iterator = chunks(stream)
  open.set(id, iterator)
  const { value } = await iterator.next()
  return { $bytes: (value ?? Buffer.alloc(0)).toString('base64') }
}

const own = {
  first: async (id, method, ...args) => first(id, await ProviderInstance[method](...args)),
  rest: async (_, opened) => all(open.get(opened)),
  fetchText: async (_, url, options) => {
    const response = await fetch(url, options)
    return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() }
  },
  address: async () => wallet.address,
  exports: async () => Object.keys(lib)
}

async function answer({ id, call, args }) {
  const handed = args.map(given)
  const value = call in own ? await own[call](id, ...handed) : await ProviderInstance[call](...handed)
  return { id, value: isStream(value) ? await all(value) : value ?? null }
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  answer(asked)
    .catch((error) => ({ id: asked.id, error: String(error?.message ?? error) }))
    .then((said) => process.stdout.write(JSON.stringify(said) + '\n'))
}
process.exit(0)
