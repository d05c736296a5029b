// Check a receipt with ethers alone: who signed it, and (given the proof of a claim on the chain) that it is the one paid for.
import { readFileSync } from 'node:fs'
import { TypedDataEncoder, concat, verifyTypedData } from 'ethers'
const [path, proof] = process.argv.slice(process.argv[1] === '--' ? 2 : 1)
const { domain, types, message, signature } = JSON.parse(readFileSync(path, 'utf8'))
const signer = verifyTypedData(domain, types, message, signature)
const digest = TypedDataEncoder.hash(domain, types, message)
const isSigned = signer === message.payee
const isPaid = proof === undefined ? null : concat(['0x01', digest, signature]) === proof
console.log(JSON.stringify({ signer, digest, isSigned, isPaid }))
