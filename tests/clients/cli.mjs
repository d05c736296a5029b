// What ocean-cli does for its compute commands (it is not to be had from the registry): the same calls of the real SDK, in
// its order and with its parsing. For raw jobs it takes the node's address, and documentId and serviceId are then "".
//
//   node … cli.mjs <command> <node> <arguments …>          prints what the CLI would
import { writeFileSync } from 'node:fs'
import { ProviderInstance } from '@oceanprotocol/lib'
import { Wallet } from 'ethers'

const log = console.log
console.log = console.error
const signer = new Wallet(process.env.CLIENT_KEY)
const [command, node, ...given] = process.argv.slice(process.argv[1] === '--' ? 2 : 1)

// The CLI takes its inputs as text: JSON with a fileObject, or something that looks like it once single quotes are mended.
const parsed = (text) => JSON.parse(text.replace(/'/g, '"'))
const raw = (text) => ({ documentId: '', serviceId: '', ...parsed(text) })

async function chunks(stream) {
  const found = []
  for await (const chunk of stream) found.push(Buffer.from(chunk))
  return found
}

const commands = {
  async getComputeEnvironments() {
    const environments = await ProviderInstance.getComputeEnvironments(node)
    if (!environments || environments.length < 1) throw new Error('no environments')
    return environments
  },
  async startFreeCompute(datasets, algorithm, environmentId, output) {
    const environments = await ProviderInstance.getComputeEnvironments(node)
    const environment = environments.find((each) => each.id === environmentId)
    if (!environment) throw new Error('no such environment')
    if (!environment.free) throw new Error('no free jobs there')
    Object.keys(environment.fees)
    const assets = parsed(datasets).map((each) => raw(JSON.stringify(each)))
    const algo = raw(algorithm)
    const jobs = await ProviderInstance.freeComputeStart(
      node, signer, environmentId, assets, algo, null, null, null, output ? parsed(output) : undefined
    )
    if (!jobs || !jobs[0].jobId) throw new Error('no job')
    return { jobId: jobs[0].jobId, payment: jobs[0].payment }
  },
  async getJobStatus(jobId, agreementId) {
    const status = await ProviderInstance.computeStatus(node, signer, jobId, agreementId)
    return status
  },
  async computeStreamableLogs(jobId) {
    const logs = await ProviderInstance.computeStreamableLogs(node, signer, jobId)
    if (!logs) throw new Error('no logs')
    return Buffer.concat(await chunks(logs)).toString() // the whole stream, until it ends
  },
  async stopCompute(jobId, agreementId) {
    const stopped = await ProviderInstance.computeStop(jobId, node, signer, agreementId)
    return stopped
  },
  async downloadJobResults(jobId, index, destination) {
    const result = await ProviderInstance.getComputeResult(node, signer, jobId, parseInt(index))
    writeFileSync(destination, Buffer.concat(await chunks(result)))
    return destination
  },
  async generateAuthToken() {
    return ProviderInstance.generateAuthToken(signer, node)
  },
  async invalidateAuthToken(token) {
    return ProviderInstance.invalidateAuthToken(signer, token, node)
  }
}

try {
  log(JSON.stringify({ value: await commands[command](...given) }))
  process.exit(0)
} catch (error) {
  log(JSON.stringify({ error: String(error?.message ?? error) }))
  process.exit(1)
}
