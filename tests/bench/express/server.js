// The least a node in JavaScript could do for the two calls asked most: read the same rows, send the same JSON.
// Run as a cluster of as many processes as it is told, as one would on as many cores: node server.js FILE PORT PROCESSES
import cluster from 'node:cluster'
import { createHash } from 'node:crypto'
import Database from 'better-sqlite3'
import express from 'express'

const [file, port, processes] = process.argv.slice(2)
const TEXTS = { finished: [70, 'Job finished'], queued: [1, 'Job queued'], running: [40, 'Running algorithm '] }
const ORDER = ['imageLog', 'configurationLog', 'algorithmLog', 'output', 'publishLog']

if (cluster.isPrimary) for (let each = 0; each < Number(processes); each++) cluster.fork()
else serve()

function serve() {
  const database = new Database(file, { readonly: true })
  const one = database.prepare('SELECT * FROM job JOIN workflow USING (workflow_id) WHERE job_id = ?')
  const after = database.prepare('SELECT after_job_id FROM dependency WHERE job_id = ?')
  const left = database.prepare('SELECT * FROM result WHERE job_id = ?')
  const offered = database.prepare('SELECT * FROM environment ORDER BY position')
  const live = database.prepare(
    "SELECT status, is_free FROM job WHERE environment_id = ? AND finished_at_ms IS NULL AND status != 'queued'"
  )
  const app = express()
  app.disable('x-powered-by')
  app.get('/api/services/compute', (request, response) => {
    const row = one.get(request.query.jobId)
    response.json(row ? [shown(row, after.all(row.job_id), left.all(row.job_id))] : [])
  })
  app.get('/api/services/computeEnvironments', (_, response) => {
    response.json(offered.all().map((row) => environment(JSON.parse(row.document), live.all(row.environment_id))))
  })
  app.listen(Number(port), '127.0.0.1')
}

function shown(row, dependencies, results) {
  const [status, statusText] = TEXTS[row.status]
  return {
    owner: row.owner_as_sent, did: null, inputDID: null, algoDID: null, agreementId: null, jobId: row.job_id,
    jobIdHash: '0x' + createHash('sha256').update(row.job_id).digest('hex'), workflowId: row.workflow_id,
    index: row.index, runAfter: dependencies.map((each) => each.after_job_id).sort(),
    dateCreated: seconds(row.created_at_ms), dateFinished: row.finished_at_ms === null ? null : seconds(row.finished_at_ms),
    status, statusText,
    results: results
      .sort((one, other) => ORDER.indexOf(one.type) - ORDER.indexOf(other.type))
      .map((each, index) => ({ filename: each.filename, filesize: each.size_bytes, type: each.type, index })),
    environment: row.environment_id, maxJobDuration: row.max_duration_s, stopRequested: Boolean(row.stop_requested),
    resources: JSON.parse(row.resources ?? '[]'), isFree: Boolean(row.is_free),
    algoStartTimestamp: seconds(row.started_at_ms), algoStopTimestamp: seconds(row.stopped_at_ms),
    buildStartTimestamp: seconds(row.build_started_at_ms), buildStopTimestamp: seconds(row.build_stopped_at_ms),
    algoDuration: row.started_at_ms && row.stopped_at_ms ? (row.stopped_at_ms - row.started_at_ms) / 1000 : 0,
    metadata: JSON.parse(row.metadata ?? 'null'), additionalViewers: null,
    terminationDetails: {
      exitCode: row.exit_code, OOMKilled: row.oom_killed === null ? null : Boolean(row.oom_killed), reason: row.reason
    },
    payment: null, queueMaxWaitTime: row.queue_max_wait_s
  }
}

function seconds(milliseconds) {
  return milliseconds ? String(milliseconds / 1000) : '0'
}

function environment({ layout, ...document }, jobs) {
  const used = (resources) => resources.map((each) => ({ ...each, inUse: 0 }))
  return {
    ...document, resources: used(document.resources), runningJobs: jobs.length,
    runningfreeJobs: jobs.filter((each) => each.is_free).length, queuedJobs: 0, queuedFreeJobs: 0, queMaxWaitTime: 0,
    queMaxWaitTimeFree: 0, runMaxWaitTime: 0, runMaxWaitTimeFree: 0,
    free: { ...document.free, resources: used(document.free.resources) }
  }
}
