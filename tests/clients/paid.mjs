// A paid job by the calls of the real SDK alone, with a wallet on a chain. Nothing of the SDK is changed.
//
//   paid.mjs sdk|cli <node> <rpc> <token> <escrow> <algorithm as JSON>          prints what came of each step
//
// `sdk`: approve, deposit, authorize, initializeCompute, computeStart, one after the other.
// `cli`: what ocean-cli does (it is not to be had from the registry): its depositEscrow, then initializeCompute, then
//        startCompute, which lets the SDK authorize what is missing, by its own verifyFundsForEscrowPayment.
// anything else: neither, so that the node has to refuse.
import { EscrowContract, ProviderInstance, approve, unitsToAmount } from '@oceanprotocol/lib'
import { JsonRpcProvider, Wallet } from 'ethers'

const [how, node, rpc, token, escrowAddress, text] = process.argv.slice(process.argv[1] === '--' ? 2 : 1)
for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = (...said) => process.stderr.write(said.join(' ') + '\n')
async function main() {
  const provider = new JsonRpcProvider(rpc, undefined, { cacheTimeout: -1, pollingInterval: 100 })
  const signer = new Wallet(process.env.CLIENT_KEY, provider)
  const config = { gasFeeMultiplier: 1.2, transactionBlockTimeout: 50, transactionConfirmationBlocks: 1, transactionPollingTimeout: 750 }
  const { chainId: wide } = await provider.getNetwork()
  const chainId = Number(wide)
  const escrow = new EscrowContract(escrowAddress, signer, chainId)
  const algorithm = JSON.parse(text)

  const [environment] = await ProviderInstance.getComputeEnvironments(node)
  if (!environment.fees[chainId].some((fee) => fee.feeToken.toLowerCase() === token.toLowerCase())) throw new Error('not sold')
  const resources = environment.resources.map(({ id, min }) => ({ id, amount: min }))
  const seconds = Math.min(120, environment.maxJobDuration)
  const payee = environment.consumerAddress

  const quote = () =>
    ProviderInstance.initializeCompute([], algorithm, environment.id, token, seconds, node, signer.address, resources, chainId)

  if (how === 'sdk') {
    await approve(signer, config, signer.address, token, escrowAddress, '10', true)
    await escrow.deposit(token, '10')
    await escrow.authorize(token, payee, '10', '1000000', '10')
  }
  if (how === 'cli') {
    await approve(signer, config, signer.address, token, escrowAddress, '20', true)
    await escrow.deposit(token, '10')
  }
  const quoted = await quote()
  if (how === 'cli') {
    if ('error' in quoted.algorithm) throw new Error(quoted.algorithm.error)
    if ((await provider.getBalance(payee)) === 0n) throw new Error('the node has no coin')
    const wanted = await unitsToAmount(signer, token, quoted.payment.amount)
    const seen = await escrow.verifyFundsForEscrowPayment(
      token, payee, wanted, quoted.payment.amount, quoted.payment.minLockSeconds.toString(), '10'
    )
    if (seen.isValid !== true) throw new Error(seen.message)
  }
  const jobs = await ProviderInstance.computeStart(
    node, signer, environment.id, [], algorithm, seconds, token, resources, chainId
  )
  process.stdout.write(JSON.stringify({ quote: quoted.payment, job: jobs[0], payee, payer: signer.address }) + '\n')
}

main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  }
)
