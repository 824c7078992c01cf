package poolz

import (
	"net/http"
	"net/url"
	"time"
)

// ServeHTTP answers GET with the page, or with JSON. If AllowDrain is set, it answers POST by draining an identity.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with "no-referrer", a browser would not send its origin either
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuse(w, http.StatusBadRequest, "the query of the URL cannot be read")
		return
	}
	q, err := parseQuery(values)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		p.show(w, q)
	case r.Method == http.MethodPost && p.drain:
		p.serveDrain(w, r, q)
	default:
		p.refuseMethod(w, r.Method)
	}
}

func (p *Page) refuseMethod(w http.ResponseWriter, method string) {
	allowed, text := "GET, HEAD", "this page can only be looked at"
	switch {
	case p.drain:
		allowed += ", POST"
	case method == http.MethodPost:
		text = "draining is not allowed here: that takes poolz.AllowDrain"
	}
	w.Header().Set("Allow", allowed)
	refuse(w, http.StatusMethodNotAllowed, text)
}

// refuse answers a request with a line that says what is wrong with it.
func refuse(w http.ResponseWriter, status int, text string) {
	http.Error(w, "poolz: "+text, status)
}

func (p *Page) show(w http.ResponseWriter, q query) {
	report := p.report(q, time.Now())
	render, contentType := report.html, "text/html; charset=utf-8"
	if q.JSON {
		render, contentType = report.json, "application/json"
	}
	body, err := render()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", contentType)
	if report.Gone() {
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = w.Write(body) // the browser may have gone
}

// maxForm is the largest size of a form, in bytes. A form has one field.
const maxForm = 4 << 10

// serveDrain drains the identity that a form names, and redirects to the overview.
func (p *Page) serveDrain(w http.ResponseWriter, r *http.Request, q query) {
	if err := p.crossing.Check(r); err != nil {
		refuse(w, http.StatusForbidden, "this request comes from another site")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "the form cannot be read")
		return
	}
	id := r.PostForm.Get("drain")
	if id == "" {
		refuse(w, http.StatusBadRequest, "the form does not say which identity to drain: give its id as drain")
		return
	}
	q.ID, q.Search = id, ""
	stats := p.pool.Stats()
	switch found := p.identities(&stats, q); len(found) {
	case 0:
		refuse(w, http.StatusNotFound, "the pool does not know this identity: it has no connections now")
		return
	case 1:
		n := p.pool.Drain(found[0].Identity)
		p.drained.Store(&drained{At: time.Now(), Identity: found[0].Name, Connections: n})
	default: // the chance is one in 2^64
		refuse(w, http.StatusConflict, "two identities have this id")
		return
	}
	// The redirect is relative to the URL that the browser knows, because a handler may have stripped a prefix from r.URL.
	back, _ := parseQuery(r.URL.Query()) // ServeHTTP has parsed it before
	w.Header().Set("Location", back.Overview())
	w.WriteHeader(http.StatusSeeOther)
}
