// Shows on an open page what happens to its orders. Without it, the page shows how things were when it was loaded.

const note = document.querySelector('[data-live]')
const types = ['placed', 'confirmed', 'completed', 'cancelled', 'updated'].map((name) => `orders.order.${name}.v1`)
const shown = (id) => document.querySelector(`[data-order="${CSS.escape(id)}"]`)
const fresh = new Set()
let stream
let last = ''

function take({ lastEventId, data }) {
  last = lastEventId
  const event = JSON.parse(data)
  const place = shown(event.order_id)
  const chip = place?.querySelector('.chip')
  if (chip && chip.textContent !== event.data.status) {
    chip.textContent = event.data.status
    chip.className = `chip ${event.data.status}`
  }
  if (note.dataset.live === 'order' && place) tell('Something has happened to this order.', 'Show it as it is now')
  if (note.dataset.live === 'list' && !place && event.sequence === 1) {
    fresh.add(event.order_id)
    tell(fresh.size === 1 ? 'There is 1 new order.' : `There are ${fresh.size} new orders.`, 'Show them')
  }
}

function tell(sentence, action) {
  const link = document.createElement('a')
  link.href = location.pathname + location.search
  link.textContent = action
  note.replaceChildren(`${sentence} `, link)
  note.hidden = false
}

// Browsers keep six connections to a server: a page that nobody looks at needs none.
function listen() {
  if (document.hidden) return stream?.close()
  stream = new EventSource(`/ui/orders/stream${last && `?after=${last}`}`)
  stream.addEventListener('begin', ({ lastEventId }) => {
    last = lastEventId
  })
  for (const type of types) stream.addEventListener(type, take)
}

if (note) {
  document.addEventListener('visibilitychange', listen)
  listen()
}
