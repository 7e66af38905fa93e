import { Histogram, Registry } from '@prometheus-io/client'
import t from 'tap'
import { RequestHistogram } from '../src/plugins/request-histogram.ts'

const configuration = {
  name: 'http_request_duration_seconds',
  help: 'request duration in seconds',
  labelNames: ['handler', 'method', 'status'] as const,
  buckets: [0.000_001, 0.000_1, 0.001, 0.0025, 10],
}
const requests = [
  { handler: '/orders', method: 'GET', status: 200 },
  { handler: '/orders', method: 'GET', status: 304 },
  { handler: '/orders', method: 'POST', status: 200 },
  { handler: '/orders/:id', method: 'GET', status: 200 },
]

t.test('it tells what the histogram of the client tells', async (t) => {
  const [quick, plain] = [new Registry(), new Registry()]
  const histogram = new RequestHistogram({
    ...configuration,
    labelNames: [...configuration.labelNames],
    registers: [quick],
  })
  const reference = new Histogram({ ...configuration, labelNames: [...configuration.labelNames], registers: [plain] })
  for (let i = 0; i < 2000; i++) {
    const labels = requests[i % requests.length] as (typeof requests)[0]
    const end = histogram.startTimer()
    for (let spin = 0; spin < i * 10; spin++) Math.sqrt(spin)
    reference.observe(labels, end(labels))
  }
  const told = await quick.metrics()
  t.equal(told, await plain.metrics())
  t.match(told, /_count\{handler="\/orders",method="GET",status="304"\} 500/)
  t.notMatch(told, /le="0.0025",handler="\/orders",method="GET",status="200"\} 0$/m)
})
