import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { checkExpressions, checkMonitoring } from '../src/monitoring/check.ts'
import { hasPromtool, promtool, promtoolMissing } from '../src/monitoring/promtool.ts'
import { readAlerts, ruleFile } from '../src/monitoring/rules.ts'

type Case = { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }

const runbooks = join(import.meta.dirname, '../runbooks')
const tests = globSync('rules/*.test.yaml', { cwd: import.meta.dirname }).map((file) => {
  const text = readFileSync(join(import.meta.dirname, file), 'utf8')
  return { file, text, cases: (parse(text) as { tests: Case[] }).tests }
})

t.test('an alert says how bad it is, what is wrong, and where to read on', async (t) => {
  const files = readAlerts().map(({ alert, labels, annotations }) => {
    t.match(labels.severity, /^(critical|warning|info)$/, alert)
    t.ok(annotations.summary && annotations.description, alert)
    const file = basename(annotations.runbook_url)
    t.ok(existsSync(join(runbooks, file)), file)
    const text = readFileSync(join(runbooks, file), 'utf8')
    t.equal(text.split('\n', 1)[0], `# ${alert}`)
    t.ok(text.split('\n').length < 60, 'a page')
    for (const heading of ['What it means', 'Look', 'Act']) t.match(text, new RegExp(`^## ${heading}$`, 'm'), file)
    return file
  })
  t.same(globSync('*.md', { cwd: runbooks }).sort(), [...files, 'README.md'].sort(), 'no runbook without its alert')
})

t.test('every alert is tested both ways', async (t) => {
  const expected = tests.flatMap(({ cases }) => cases.flatMap((it) => it.alert_rule_test))
  for (const { alert } of readAlerts()) {
    const its = expected.filter(({ alertname }) => alertname === alert)
    t.ok(
      its.some(({ exp_alerts }) => exp_alerts.length > 0),
      `${alert} fires`,
    )
    t.ok(
      its.some(({ exp_alerts }) => exp_alerts.length === 0),
      `${alert} keeps still`,
    )
  }
})

const probeHandlers = '/(livez|readyz|ready|health|version|metrics)'
const probes = `,handler!~"${probeHandlers}"`
const long = '|.*/(import|export|stream)'
const previews = ',namespace!~"orders-pr-.*"'
// What a rule could have wrong without anybody noticing, until the night it matters.
const mutations: [alert: string, from: string, to: string][] = [
  ['OrdersTargetDown', '== 0', '== 1'],
  ['OrdersTargetDown', previews, ''],
  ['OrdersTargetDown', 'for: 2m', 'for: 1m'],
  ['OrdersTargetDown', 'for: 2m', 'for: 5m'],
  ['OrdersTargetDown', 'or absent(up{job="orders-api",', 'or absent(up{job="prometheus",'],
  ['OrdersErrorRateHigh', previews, ''],
  ['OrdersErrorRateHigh', probeHandlers, 'none'],
  ['OrdersErrorRateHigh', long, ''],
  ['OrdersErrorRateHigh', '|export|', '|'],
  ['OrdersErrorRateHigh', '5..', '[45]..'],
  ['OrdersErrorRateHigh', '> 0.05', '> 0.03'],
  ['OrdersErrorRateHigh', '> 0.05', '> 0.2'],
  ['OrdersErrorRateHigh', 'for: 5m', 'for: 1m'],
  ['OrdersErrorRateElevated', previews, ''],
  ['OrdersErrorRateElevated', probeHandlers, 'none'],
  ['OrdersErrorRateElevated', long, ''],
  ['OrdersErrorRateElevated', '5..', '[45]..'],
  ['OrdersErrorRateElevated', '> 0.01', '> 0.005'],
  ['OrdersErrorRateElevated', '> 0.01', '> 0.03'],
  ['OrdersErrorRateElevated', 'for: 10m', 'for: 5m'],
  ['OrdersErrorRateElevated', 'for: 10m', 'for: 20m'],
  ['OrdersLatencyHigh', previews, ''],
  ['OrdersLatencyHigh', probeHandlers, 'none'],
  ['OrdersLatencyHigh', long, ''],
  ['OrdersLatencyHigh', '(import|', '('],
  ['OrdersLatencyHigh', '|export|', '|'],
  ['OrdersLatencyHigh', '|stream)', ')'],
  ['OrdersLatencyHigh', '(0.95', '(0.995'],
  ['OrdersLatencyHigh', '> 0.5', '> 1'],
  ['OrdersLatencyHigh', 'for: 5m', 'for: 1m'],
  ['OrdersNoTraffic', previews, ''],
  ['OrdersNoTraffic', probes, ''],
  ['OrdersNoTraffic', ' == 1', ''],
  ['OrdersNoTraffic', 'or 0 *', 'and 0 *'],
  ['OrdersNoTraffic', '[5m]', '[1m]'],
  ['OrdersNoTraffic', 'for: 5m', 'for: 1m'],
  ['OrdersDatabaseErrors', previews, ''],
  ['OrdersDatabaseErrors', '[5m]', '[15m]'],
  ['OrdersDatabaseErrors', '> 0', '> 100'],
  ['OrdersDatabaseErrors', 'for: 5m', 'for: 1m'],
  ['OrdersDatabaseErrors', '(namespace, kind)', '(namespace)'],
  ['OrdersDurabilityLost', previews, ''],
  ['OrdersDurabilityLost', 'min by', 'max by'],
  ['OrdersDurabilityLost', '< 1', '< 0'],
  ['OrdersMetricsHandlerErrors', previews, ''],
  ['OrdersMetricsHandlerErrors', '[10m]', '[20m]'],
  ['OrdersMetricsHandlerErrors', '> 0', '>= 0'],
  ['OrdersMetricsHandlerErrors', '> 0', '> 5'],
  ['OrdersUnhandledErrors', previews, ''],
  ['OrdersUnhandledErrors', '[15m]', '[5m]'],
  ['OrdersUnhandledErrors', '[15m]', '[30m]'],
  ['OrdersUnhandledErrors', '> 0', '>= 0'],
  ['OrdersUnhandledErrors', '> 0', '> 2'],
  ['OrdersUnhandledErrors', 'api-canary|', ''],
  ['OrdersUnhandledErrors', '|worker', ''],
  ['OrdersUnhandledErrors', '(namespace, job)', '(namespace)'],
  ['OrdersSlowReaders', previews, ''],
  ['OrdersSlowReaders', '[15m]', '[5m]'],
  ['OrdersSlowReaders', '> 20', '> 10'],
  ['OrdersSlowReaders', '> 20', '> 80'],
  ['OrdersSlowReaders', 'for: 5m', 'for: 1m'],
  ['OrdersRateLimitsNotShared', previews, ''],
  ['OrdersRateLimitsNotShared', 'min by', 'max by'],
  ['OrdersRateLimitsNotShared', '== 0', '== 1'],
  ['OrdersRateLimitsNotShared', 'for: 5m', 'for: 2m'],
  ['OrdersRateLimitsNotShared', 'for: 5m', 'for: 10m'],
  ['OrdersWorkerDown', previews, ''],
  ['OrdersWorkerDown', ' == 1', ''],
  ['OrdersWorkerDown', 'job="orders-worker"', 'job="orders-api"'],
  ['OrdersWorkerDown', 'for: 3m', 'for: 2m'],
  ['OrdersWorkerDown', 'for: 3m', 'for: 5m'],
  ['OrdersEventsLate', previews, ''],
  ['OrdersEventsLate', 'max by', 'min by'],
  ['OrdersEventsLate', '> 60', '> 30'],
  ['OrdersEventsLate', '> 60', '> 120'],
  ['OrdersEventsStuck', previews, ''],
  ['OrdersEventsStuck', 'max by', 'min by'],
  ['OrdersEventsStuck', '> 300', '> 240'],
  ['OrdersEventsStuck', '> 300', '> 600'],
  ['OrdersDeadLetters', previews, ''],
  ['OrdersDeadLetters', ',where="dead_letters"', ''],
  ['OrdersDeadLetters', 'max by (namespace)', 'sum by (namespace)'],
  ['OrdersDeadLetters', '> 0', '> 5'],
]

/** The rule file with one alert changed. */
function mutated(alert: string, from: string, to: string): string {
  const parts = ruleFile().split(/(?= {6}- alert: )/)
  const changed = parts.map((part) => (part.includes(`- alert: ${alert}\n`) ? part.replaceAll(from, to) : part))
  if (changed.join('') === parts.join('')) throw new Error(`${alert} has no ${from}`)
  return changed.join('')
}

if (await hasPromtool()) {
  t.test('the rules do what their tests say, and Prometheus takes every expression', () => checkMonitoring())

  t.test('no rule can change unnoticed', async (t) => {
    for (const [alert, from, to] of mutations) {
      const own = tests.filter(({ text }) => text.includes(alert))
      const files = own.map(({ text }, index) => [
        `${index}.yaml`,
        text.replace(/^rule_files: .*$/m, 'rule_files: [rules.yaml]'),
      ])
      const folder = t.testdir({ 'rules.yaml': mutated(alert, from, to), ...Object.fromEntries(files) })
      const run = promtool('test', 'rules', ...files.map(([name]) => join(folder, name as string)))
      await t.rejects(run, /FAILED/, `${alert}: "${from}" is not "${to}"`)
    }
  })

  t.test('an expression that Prometheus would refuse is refused', async (t) => {
    await t.rejects(checkExpressions(['rate(up)']), /expected type range vector/)
    await t.rejects(checkExpressions(['sum(up) by (']), /parse error/)
    await t.resolves(checkExpressions(['rate(up{namespace=~"$namespace"}[$__rate_interval])']))
  })
} else {
  t.comment(`What the rules do was not tested. ${promtoolMissing}`)
}
