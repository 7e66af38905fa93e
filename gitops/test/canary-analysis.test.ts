import t from 'tap'
import { analysisRules, checkAnalysis } from '../src/monitoring/analysis.ts'
import { hasPromtool, promtoolMissing } from '../src/monitoring/promtool.ts'

/** Mistakes in the queries and limits, each of which a promtool test must notice. */
const mutations: [from: string, to: string][] = [
  ['/(livez|readyz|ready|health|version|metrics)', 'none'],
  ['|.*/(import|export|stream)', ''],
  ['(import|', '('],
  ['|export|', '|'],
  ['|stream)', ')'],
  ['service="orders-api-canary"', 'service=~"orders-api.*"'],
  ['status=~"5.."', 'status=~"[45].."'],
  ['>= 0.01', '>= 0.05'],
  ['>= 0.01', '>= 0.005'],
  ['>= 0.5', '>= 1'],
  ['(0.95', '(0.5'],
  ['for: 60s', 'for: 20m'],
  ['or vector(0)', 'or vector(1)'],
]

if (await hasPromtool()) {
  t.test('the analysis aborts a bad canary and keeps a good one', async () => checkAnalysis(await analysisRules()))

  t.test('a promtool test notices each mistake in the analysis', async (t) => {
    const rules = await analysisRules()
    for (const [from, to] of mutations) {
      t.ok(rules.includes(from), from)
      await t.rejects(checkAnalysis(rules.replaceAll(from, to)), /FAILED/, `"${from}" is not "${to}"`)
    }
  })
} else {
  t.comment(`The analysis was not tested. ${promtoolMissing}`)
}
