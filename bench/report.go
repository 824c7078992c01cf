package main

import "fmt"

// report is all that a run found.
type report struct {
	Environment environmentReport `json:"environment"`
	Seconds     float64           `json:"seconds"`
	Suites      []suiteReport     `json:"suites"`
}

type suiteReport struct {
	Name        string             `json:"name"`
	About       string             `json:"about"`
	Unsupported string             `json:"unsupported,omitempty"`
	Comparisons []comparisonReport `json:"comparisons,omitempty"`
}

// comparisonReport is one table. Scatter is the span of the ratio of the baseline to itself.
type comparisonReport struct {
	Name     string         `json:"name"`
	Baseline candidate      `json:"baseline"`
	Metric   string         `json:"metric"`
	Columns  []string       `json:"columns"`
	Rows     []row          `json:"rows"`
	Scatter  *span          `json:"scatter,omitempty"`
	Targets  []targetReport `json:"targets,omitempty"`
}

// row is what one candidate came to. Ratio is to the baseline, of the comparison's metric.
type row struct {
	Candidate candidate       `json:"candidate"`
	Protocol  string          `json:"protocol,omitempty"`
	Rounds    int             `json:"rounds"`
	Figures   map[string]span `json:"figures"`
	Ratio     *span           `json:"ratio,omitempty"`
	Error     string          `json:"error,omitempty"` // why there are fewer rounds, and no ratio
}

// targetReport is a target with what became of it. Measured is nil where it could not be measured.
type targetReport struct {
	Metric   string    `json:"metric"`
	Against  candidate `json:"against,omitempty"`
	Limit    float64   `json:"limit"`
	Measured *span     `json:"measured,omitempty"`
	Met      bool      `json:"met"`
}

// ratioTarget is the target of the ratio that a candidate's row shows.
func (c comparisonReport) ratioTarget(who candidate) (limit float64, ok bool) {
	if who != ours {
		return 0, false
	}
	for _, t := range c.Targets {
		if t.Against == c.Baseline && t.Metric == c.Metric {
			return t.Limit, true
		}
	}
	return 0, false
}

// failures names the candidates that did not come to the end of a comparison.
func (r report) failures() []string {
	var all []string
	for _, s := range r.Suites {
		for _, c := range s.Comparisons {
			for _, row := range c.Rows {
				if row.Error != "" {
					all = append(all, fmt.Sprintf("%s: %s: %s: %s", s.Name, c.Name, row.Candidate, row.Error))
				}
			}
		}
	}
	return all
}

// series returns what the rounds found for one metric; nil if one of them found nothing.
func series(readings []reading, metric string) []float64 {
	figures := make([]float64, 0, len(readings))
	for _, r := range readings {
		v, ok := r.Values[metric]
		if !ok {
			return nil
		}
		figures = append(figures, v)
	}
	return figures
}

func summarize(c comparison, found map[candidate][]reading, failed map[candidate]error) comparisonReport {
	result := comparisonReport{Name: c.name, Baseline: c.baseline, Metric: c.metric, Columns: c.columns}
	base := series(found[c.baseline], c.metric)
	for _, candidate := range c.candidates {
		readings := found[candidate]
		r := row{Candidate: candidate, Rounds: len(readings), Figures: map[string]span{}}
		for name := range metrics {
			if figures := series(readings, name); len(figures) > 0 {
				r.Figures[name] = spanOf(figures)
			}
		}
		if len(readings) > 0 {
			r.Protocol = readings[0].Protocol
		}
		if err := failed[candidate]; err != nil {
			r.Error = err.Error()
		}
		if ratio, ok := ratios(series(readings, c.metric), base); ok {
			r.Ratio = &ratio
			if candidate == c.twin {
				result.Scatter = &ratio
			}
		}
		result.Rows = append(result.Rows, r)
	}
	for _, t := range c.targets {
		result.Targets = append(result.Targets, t.judge(found))
	}
	return result
}

// judge holds the target against the medians.
func (t target) judge(found map[candidate][]reading) targetReport {
	result := targetReport{Metric: t.metric, Against: t.against, Limit: t.limit}
	figures := series(found[ours], t.metric)
	if len(figures) == 0 {
		return result
	}
	measured, digits := spanOf(figures), metrics[t.metric].digits
	if t.against != "" {
		ratio, ok := ratios(figures, series(found[t.against], t.metric))
		if !ok {
			return result
		}
		measured, digits = ratio, ratioDigits
	}
	result.Measured = &measured
	result.Met = rounded(measured.Median, digits) <= t.limit
	return result
}
