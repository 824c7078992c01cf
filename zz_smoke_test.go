package peerpool
import ("testing";"net/http";"net/http/httptest";"io";"fmt";"strings";"sync")
func TestSmoke(t *testing.T){
 for _, tlsOn := range []bool{false,true} {
  h := http.HandlerFunc(func(w http.ResponseWriter,r *http.Request){ b,_:=io.ReadAll(r.Body); fmt.Fprintf(w,"hi %s %s %d",r.Method,r.URL,len(b))})
  var s *httptest.Server
  if tlsOn { s=httptest.NewTLSServer(h)} else {s=httptest.NewServer(h)}
  defer s.Close()
  tr := &Transport{}
  if tlsOn { tr.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone() }
  c := &http.Client{Transport: tr}
  for i:=0;i<3;i++ {
   resp,err := c.Get(s.URL+"/x"); if err!=nil {t.Fatal(err)}
   b,_ := io.ReadAll(resp.Body); resp.Body.Close(); t.Log(string(b), resp.Header)
   resp,err = c.Post(s.URL+"/x","text/plain",strings.NewReader(strings.Repeat("a",1000*(i*20+1)))); if err!=nil {t.Fatal(err)}
   b,_ = io.ReadAll(resp.Body); resp.Body.Close(); t.Log(string(b))
  }
  t.Logf("%+v", tr.Stats())
  for k := range tr.Stats().Peers { t.Log(k) }
  var wg sync.WaitGroup
  for range 50 { wg.Go(func(){ for range 100 { r,err:=c.Get(s.URL); if err!=nil {t.Error(err);return}; io.Copy(io.Discard,r.Body); r.Body.Close() } }) }
  wg.Wait()
  t.Logf("%+v", tr.Stats())
  tr.CloseIdleConnections()
  t.Logf("%+v", tr.Stats())
 }
}
